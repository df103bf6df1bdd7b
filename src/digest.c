#include "digest.h"

#include <sha2.h>
#include <string.h>

/* Each item goes in with its length, so that no two plans run together to the same bytes. */
static void hash_bytes(SHA2_CTX *hash, const void *bytes, size_t length)
{
    uint64_t prefix = length;
    SHA256Update(hash, (const uint8_t *)&prefix, sizeof prefix);
    SHA256Update(hash, bytes, length);
}

static void hash_string(SHA2_CTX *hash, const char *string)
{
    hash_bytes(hash, string ? string : "", string ? strlen(string) + 1 : 0);
}

static void hash_number(SHA2_CTX *hash, uint64_t number)
{
    hash_bytes(hash, &number, sizeof number);
}

/* Its numbers in one piece, with the lengths of the texts that follow: most of a plan is mounts. */
static void hash_mount(SHA2_CTX *hash, const struct dml_entry *mount)
{
    const char *source = mount->source.path ? mount->source.path : mount->host ? mount->host : "";
    bool shown = mount->data && !mount->secret;
    const size_t lengths[] = {strlen(mount->sandbox), strlen(source), shown ? mount->length : 0};
    const uint64_t numbers[] = {mount->kind, mount->size, mount->mode, mount->directory,
                                lengths[0],  lengths[1],  lengths[2]};
    SHA256Update(hash, (const uint8_t *)numbers, sizeof numbers);
    SHA256Update(hash, (const uint8_t *)mount->sandbox, lengths[0]);
    SHA256Update(hash, (const uint8_t *)source, lengths[1]);
    SHA256Update(hash, (const uint8_t *)(shown ? mount->data : ""), lengths[2]);
}

void dml_digest_plan(const struct dml_plan *plan, char digest[DML_DIGEST_LENGTH + 1])
{
    SHA2_CTX hash;
    SHA256Init(&hash);
    hash_string(&hash, "demilune plan 2");
    hash_number(&hash, plan->mount_count);
    for (size_t i = 0; i < plan->mount_count; i++)
        hash_mount(&hash, &plan->mounts[i]);
    hash_number(&hash, plan->argc);
    for (size_t i = 0; i < plan->argc; i++)
        hash_string(&hash, plan->argv[i]);
    hash_number(&hash, plan->env_count);
    for (size_t i = 0; i < plan->env_count; i++) {
        const char *variable = plan->env[i];
        /* its name alone: a short value could be found again from its digest */
        if (plan->env_secret[i] || plan->env_passed[i])
            hash_bytes(&hash, variable, strcspn(variable, "="));
        else
            hash_string(&hash, variable);
    }
    hash_string(&hash, plan->chdir);
    hash_string(&hash, plan->hostname);
    const uint64_t settings[] = {plan->uid,    plan->gid,     plan->network,         plan->tty,
                                 plan->nested, plan->seccomp, plan->seccomp_options, plan->requires};
    hash_bytes(&hash, settings, sizeof settings);
    uint64_t limits[DML_LIMIT_COUNT + 1] = {0}; /* the last: which there are */
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        limits[i] = plan->limits.has[i] ? plan->limits.value[i] : 0;
        limits[DML_LIMIT_COUNT] |= (uint64_t)plan->limits.has[i] << i;
    }
    hash_bytes(&hash, limits, sizeof limits);
    SHA256End(&hash, digest);
}
