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

static void hash_mount(SHA2_CTX *hash, const struct dml_entry *mount)
{
    hash_number(hash, mount->kind);
    hash_string(hash, mount->sandbox);
    hash_string(hash, mount->source.path ? mount->source.path : mount->host);
    hash_number(hash, mount->size);
    hash_number(hash, mount->mode);
    hash_number(hash, mount->directory);
    hash_bytes(hash, mount->data && !mount->secret ? mount->data : "", mount->secret ? 0 : mount->length);
}

void dml_digest_plan(const struct dml_plan *plan, char digest[DML_DIGEST_LENGTH + 1])
{
    SHA2_CTX hash;
    SHA256Init(&hash);
    hash_string(&hash, "demilune plan 1");
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
    for (int i = 0; i < DML_LIMIT_COUNT; i++) {
        hash_number(&hash, plan->limits.has[i]);
        hash_number(&hash, plan->limits.value[i]);
    }
    SHA256End(&hash, digest);
}
