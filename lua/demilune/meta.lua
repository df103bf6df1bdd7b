---@meta
--- Types for editors (LuaLS). Nothing loads this file.

---@class demilune.Bind
---@field host string absolute path on the host; a leading ~/ is the caller's home
---@field sandbox? string absolute path inside; the same by default
---@field optional? boolean a source that is not there is no problem

---@class demilune.Tmpfs
---@field sandbox string absolute path inside
---@field size? integer|string bytes, or "64M"
---@field mode? string octal digits: "0755"

---@class demilune.Mask
---@field sandbox string absolute path inside
---@field optional? boolean what is bound need not have it

---@class demilune.Symlink
---@field target string
---@field sandbox string

---@class demilune.Effect
---@field effect "Cost"|"Fallible"|"FsRead"|"FsWrite"|"Llm"|"Network"|"NonDeterministic"|"Process"|"Pure"|"Unknown"
---@field path? string of FsRead and FsWrite
---@field model? string of Llm
---@field cents? integer of Cost; from JSON an unsigned one of 64 bits

---@class demilune.Limits
---@field timeout? number|string seconds, or "30s"
---@field cpu_time? number|string seconds of processor time of all together, where a cgroup can be made, and of each
---@field memory? integer|string bytes, or "512M", of all together (cgroup), else address space of each
---@field pids? integer processes, all together
---@field file_size? integer|string bytes
---@field open_files? integer descriptors
---@field output? integer|string bytes kept of each captured stream
---@field tmp? integer|string bytes of each private tmpfs, or "25%" of memory

---@alias demilune.Control "bind_fd"|"disable_userns"|"tmpfs_size"|"seccomp"|"cgroup"|"landlock"|"landlock_scopes"

---@class demilune.Seccomp
---@field allow ("debug"|"nested"|"perf"|"io_uring"|"keyring"|"netlink"|"set_id")[] what the default filter lets through

---@class demilune.ExpectedPath
---@field path string absolute, inside; "." and "./..." start where the command does
---@field optional? boolean what is not there is passed over

---@class demilune.ExpectedCommand
---@field command string[]
---@field optional? boolean a program that is neither on the host nor inside is passed over

--- What is to be possible, or not to be, in a policy's sandbox; `demilune test` tries it.
---@class (exact) demilune.Expectations
---@field read? (string|demilune.ExpectedPath)[] paths inside
---@field write? (string|demilune.ExpectedPath)[] files are opened, in directories a name is made; nothing is left
---@field run? (string[]|demilune.ExpectedCommand)[] commands; possible: they exit with 0
---@field connect? string[] "192.0.2.1:80", "[::1]:80", "/run/socket" or "@abstract"
---@field env? string[] names of variables

--- What a policy says.
---@class (exact) demilune.Fields
---@field name? string
---@field description? string
---@field base? "host"|"nix"|"none"
---@field ro_binds? (string|demilune.Bind|string[])[]
---@field rw_binds? (string|demilune.Bind|string[])[]
---@field work_host? string directory at /work; private when nil
---@field project? string|table a directory at its own path, where the command starts: path or { path, write = false }
---@field effects? (string|demilune.Effect)[]
---@field network? boolean share the host's network
---@field env_allowlist? string[] names passed through
---@field env? table<string, string|boolean> a value, true (pass through) or false (leave out)
---@field tmpfs? (string|demilune.Tmpfs)[]
---@field symlinks? demilune.Symlink[]
---@field masks? (string|demilune.Mask)[] paths inside, made unreadable and unwritable
---@field secrets? table<string, string> path inside -> content, for the command alone
---@field devices? (string|demilune.Bind|string[])[] devices of /dev, or directories of them, made usable
---@field chdir? string where the command starts
---@field user? "nobody"|"caller"
---@field hostname? string
---@field tty? boolean keep the controlling terminal
---@field nested? boolean user namespaces can be made inside
---@field seccomp? "default"|"off"|demilune.Seccomp
---@field limits? demilune.Limits
---@field acknowledge? string[] dangers accepted on purpose
---@field extends? string|string[] policies to build on: names, or files beside this one ("x.lua", "x.json")
---@field requires? demilune.Control[] nothing runs without them
---@field expect? { denied: demilune.Expectations?, allowed: demilune.Expectations? } its own cases
---@field prepare? fun(policy: demilune.HookPolicy, context: demilune.Context): any, string?
---@field launched? fun(process: demilune.HookProcess, context: demilune.Context)
---@field finished? fun(result: demilune.Result, context: demilune.Context)

--- The policy as a prepare hook sees it: its fields, and these.
---@class demilune.HookPolicy: demilune.Fields
---@field ro_bind fun(self: demilune.HookPolicy, path: string, at?: string): demilune.HookPolicy
---@field rw_bind fun(self: demilune.HookPolicy, path: string, at?: string): demilune.HookPolicy
---@field mask fun(self: demilune.HookPolicy, at: string): demilune.HookPolicy
---@field set_env fun(self: demilune.HookPolicy, name: string, value: string): demilune.HookPolicy
---@field pass_env fun(self: demilune.HookPolicy, name: string): demilune.HookPolicy
---@field limit fun(self: demilune.HookPolicy, name: string, value: any): demilune.HookPolicy

---@class demilune.HookProcess
---@field pid fun(self: demilune.HookProcess): integer the outermost process on the host

---@class demilune.Context
---@field command? string[] a copy
---@field cwd string
---@field home? string
---@field user? string
---@field env table<string, string> a copy of the caller's environment
---@field host demilune.Host
---@field policy_file? string

---@class demilune.Host
---@field kernel string
---@field machine string
---@field landlock integer ABI, 0 without Landlock
---@field memory integer bytes
---@field uid integer
---@field gid integer
---@field distribution string
---@field bwrap_version? string

---@class demilune.Problem
---@field field string "rw_binds[2].host"; "" for the policy as a whole
---@field value? string the value, quoted and escaped
---@field code string stable: "path.relative"
---@field message string what is wrong and what would be right
---@field file? string
---@field line? integer
---@field option? string of a command line, when one says the field: "--ro"

--- What no policy may exceed. What is not said is not bounded, but for what says otherwise.
---@class (exact) demilune.CeilingFields
---@field name? string
---@field description? string
---@field read? string[] trees of the host, with every link resolved; with `write` alone nothing else can be read
---@field write? string[] trees that can be read and written; with `read` alone nothing can be written
---@field deny? string[] trees of which nothing can be reached, not even in the others or in a base
---@field bases? ("host"|"nix"|"none")[] with what they show and pass through; "none" is always allowed
---@field env? string[] the caller's variables that may be passed through; a name may end in *
---@field network? boolean false: no policy has it
---@field tty? boolean
---@field nested? boolean
---@field seccomp? "default"|"off"|demilune.Seccomp the least filter; "off" is to be accepted under any ceiling
---@field limits? demilune.Limits the most of each, and what a policy has that does not say
---@field acknowledge? string[] dangers that may be accepted
---@field backends? ("bwrap"|"native"|"none")[] those that may launch; bwrap and native by default

---@class demilune.LayerOptions
---@field trusted? boolean false: it may only narrow what stands outside of it

---@class demilune.LoadOptions: demilune.LayerOptions
---@field project? string what a policy file has in its global of that name; the current directory without it

---@class demilune.DecodeOptions
---@field unknown? "ignore"|"refuse" what becomes of unknown fields; by default they are ignored, with a warning, where
--- a text has the ancestor's five fields alone, and refused where it has others of demilune's

---@class demilune.EncodeOptions
---@field lossy? boolean leave out hooks and secrets instead of refusing

--- What may be said on top of a policy that is not to become wider; the rest is refused.
---@class (exact) demilune.Narrowing
---@field network? boolean false; true where the policy gives it
---@field nested? boolean false; true where the policy allows it
---@field seccomp? "default"
---@field limits? demilune.Limits each at most what the policy has
---@field masks? string[] besides those of the policy
---@field chdir? string

---@class demilune.RunOptions
---@field stdin? string|{path: string}|{fd: integer}|{text: string} text (in { text = } any), "null", "inherit" (the
--- default) or, for spawn, "pipe"
---@field stdout? string|{path: string}|{fd: integer} "inherit" (the default), "null", "capture" or, for spawn, "pipe"
---@field stderr? string|{path: string}|{fd: integer} as stdout
---@field capture? boolean capture output and errors
---@field timeout? number|string seconds, or "30s"
---@field env? table<string, string|boolean> on top of the policy's
---@field chdir? string
---@field narrow? demilune.Narrowing what is taken away from the policy, after its hooks
---@field backend? "auto"|"bwrap"|"native"|"none"
---@field ceiling? demilune.Ceiling|demilune.Ceiling[] that hold besides that of the machine
---@field trace? boolean for plan: remember what each hook changed, so that explain can tell one from another

---@class demilune.Backend
---@field kind "bwrap"|"native"|"none"
---@field effective string the same, as results name it
---@field bwrap_path? string

---@class demilune.Result
---@field kind "exit"|"signal"|"timeout"|"cpu_time"|"memory"|"cancelled"
---@field ok boolean it exited with 0
---@field exit_code? integer
---@field signal? integer
---@field signal_name? string "TERM"
---@field core? boolean it left a core dump
---@field stdout? string
---@field stderr? string
---@field stdout_dropped? integer bytes
---@field stderr_dropped? integer
---@field wall number seconds
---@field user? number seconds of processor time; this and the next three are not known when all was killed from outside
---@field system? number
---@field max_rss? integer bytes
---@field survivors? boolean it left something running, which was killed
---@field backend string
---@field digest string of the plan
---@field applied string[] controls that were applied: the default ones, and those that the limits or `requires` ask for
---@field skipped string[] those that could not be
---@field limits_hit string[] limits that it came to, whether or not that ended it
---@field hook_errors? string[] hooks that failed after the launch
