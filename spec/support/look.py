# What a sandbox is, seen from inside: one line for each thing, the same on every backend. Its arguments are paths to be
# tried besides what is always there.
import ctypes, errno, os, resource, socket, stat, sys

libc = ctypes.CDLL(None, use_errno=True)

def say(*words):
    print(*words)

def attempt(action, *words):
    try:
        return action(*words) or "fine"
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)

# What devpts refuses Landlock refuses before it, with another error.
def change(path, action, *words):
    result = attempt(action, *words)
    return "refused" if path == "/dev/pts" and result in ("EPERM", "EACCES") else result

def call(function, *words):
    return "fine" if function(*words) >= 0 else errno.errorcode[ctypes.get_errno()]

# devpts belongs to the root of the user namespace that mounts it, and the native backend's has none.
def kind(path):
    status = os.lstat(path)
    words = [stat.filemode(status.st_mode), *(() if path == "/dev/pts" else (status.st_uid, status.st_gid))]
    if stat.S_ISLNK(status.st_mode):
        words.append("-> " + os.readlink(path))
    elif stat.S_ISCHR(status.st_mode):
        words.append("device %d:%d" % (os.major(status.st_rdev), os.minor(status.st_rdev)))
    return " ".join(map(str, words))

# Every mount, also one under another. What stands over a part of /proc is another mount of it or a part of the host's:
# whether programs can be executed there says nothing. bwrap closes what is hidden below /dev less down.
def mounts():
    found, devices = set(), {}
    for line in open("/proc/self/mountinfo"):
        fields = line.split(" ")
        flags = set(fields[5].split(",")) & {"ro", "rw", "nosuid", "nodev", "noexec"}
        if fields[4].startswith("/proc/"):
            flags.discard("noexec")
        words = " ".join((fields[4], *sorted(flags), line.split(" - ")[1].split(" ")[0]))
        if fields[4].startswith("/dev/"):
            devices[fields[4]] = words
        else:
            found.add(words)
    for line in sorted(found) + sorted(devices.values()):
        say("mount", line)

def file_system(path):
    status = os.statvfs(path)
    return status.f_blocks * status.f_frsize

def look(path):
    try:
        say("path", path, kind(path))
    except OSError as error:
        say("path", path, errno.errorcode[error.errno])
        return
    if os.path.isdir(path):
        say("list", path, attempt(lambda: " ".join(sorted(os.listdir(path)))))
        say("make", path, change(path, lambda: os.close(os.open(path + "/made", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))))
        say("link", path, change(path, os.symlink, "target", path + "/link"))
        say("directory", path, change(path, os.mkdir, path + "/directory", 0o700))
        say("rename", path, attempt(os.rename, path + "/made", path + "/directory/moved"))
        say("pipe", path, change(path, os.mkfifo, path + "/pipe"))
        say("away", path, attempt(os.rename, path, path + ".away"), attempt(os.rename, path + ".away", path))
        for name in ("made", "link", "pipe", "directory/moved"):
            attempt(os.unlink, path + "/" + name)
        say("remove", path, attempt(os.rmdir, path + "/directory"))
    elif os.path.isfile(path):
        say("read", path, attempt(lambda: repr(open(path, "rb").read(200))))
        say("append", path, attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND))))
        say("cut", path, attempt(lambda: os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))))
        say("unlink", path, attempt(os.unlink, path))
        say("chmod", path, attempt(os.chmod, path, 0o777))

def status():
    wanted = ("Umask", "NoNewPrivs", "Seccomp", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
              "Groups", "NSpid", "Uid", "Gid", "CoreDumping", "TracerPid")
    for line in open("/proc/self/status"):
        name, _, value = line.partition(":")
        if name in wanted:
            say("status", name, *value.split())

def network():
    say("interfaces", *sorted(line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]))
    say("routes", len(open("/proc/net/route").readlines()))
    server = socket.socket()
    say("loopback", attempt(server.bind, ("127.0.0.1", 0)), attempt(server.listen),
        attempt(socket.socket().connect, server.getsockname()))

def process():
    say("ids", os.getresuid(), os.getresgid(), os.getgroups())
    say("session", os.getsid(0), os.getpgid(0), os.getppid())
    say("place", os.getcwd(), socket.gethostname())
    say("descriptors", *sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1])
    say("cgroup", *[line.strip().rpartition(":")[2] for line in open("/proc/self/cgroup")])
    say("securebits", libc.prctl(27, 0, 0, 0, 0))
    for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
        say("limit", name, *resource.getrlimit(getattr(resource, name)))
    for name in sorted(os.environ):
        say("env", name, repr(os.environ[name]))

def forbidden():
    say("unshare", *(call(libc.unshare, flags) for flags in (0x10000000, 0x20000, 0x40000000)))
    say("mount", call(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None), call(libc.umount2, b"/tmp", 2))
    say("chroot", attempt(os.chroot, "/tmp"), "signal", attempt(os.kill, 1, 9), "ptrace", call(libc.ptrace, 16, 1, 0, 0))
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/1/mem",
                 "/proc/self/oom_score_adj", "/proc/self/comm", "/proc/self/timerslack_ns", "/dev/null", "/dev/tty"):
        say("write", path, attempt(lambda: os.close(os.open(path, os.O_WRONLY))))
    for path in ("/proc/1/root", "/proc/1/exe", "/proc/1/environ", "/proc/self/root", "/dev/ptmx"):
        say("reach", path, attempt(lambda: os.close(os.open(path, os.O_RDWR if path == "/dev/ptmx" else os.O_RDONLY))))

mounts()
for path in ("/tmp", "/work", "/dev/shm"):
    say("size", path, attempt(lambda: str(file_system(path))))
for path in ["/", "/dev", "/tmp", "/work", "/dev/shm", "/dev/pts", "/etc", "/proc/sys"] + sys.argv[1:]:
    look(path)
for name in sorted(os.listdir("/dev")):
    say("device", name, kind("/dev/" + name))
say("proc", *sorted(name for name in os.listdir("/proc") if not name.isdigit()))
status()
network()
process()
forbidden()
