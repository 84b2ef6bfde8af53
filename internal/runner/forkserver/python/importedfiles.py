"""The files that a service makes while it is imported, such as by a module-level `tempfile.mkdtemp()`.

Each fork gets a copy at the same path, in folders that only it has. The zygote keeps the files in its memory. Where
forks cannot have such folders, a service that makes files starts cold.
"""

import contextlib
import ctypes
import os
import stat

MAX_BYTES = 64 << 20
MAX_ENTRIES = 10_000
CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_REC, MS_SLAVE = 2, 4, 0x4000, 0x80000


class Refused(Exception):
    """Why the files cannot be copied."""


class ImportedFiles:
    """What appears below some folders. Made before the service is imported."""

    def __init__(self, roots, private, drafts=None):
        """Looks at the folders. Private: forks find them empty, with mounts for each.

        Drafts says where the import writes in a folder that forks find as it lies on the disk.
        """
        self.private, self.roots, self.drafts, seen = private, [], drafts, set()
        self.began = os.getcwd()
        for root in [*roots, *([drafts["written"]] if drafts else [])]:
            with contextlib.suppress(OSError):
                status = os.stat(root)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    self.roots.append((root, status.st_dev))
        self.home = self.make_home()
        self.before = {}
        with contextlib.suppress(OSError):  # all of it counts as made by the import then
            self.before.update((path, signature(status)) for path, status in self.walk())
        self.entries, self.folder = [], None

    def make_home(self):
        """Makes the home of the import where it lies in the folders and is not there; None if it is not made."""
        home = os.environ.get("HOME")
        if not home or os.path.exists(home) or not any(home.startswith(root + "/") for root, _ in self.roots):
            return None
        os.mkdir(home, 0o700)
        return home

    def walk(self):
        """All that lies below the folders, each folder before its entries; no other mounts."""
        for root, device in self.roots:
            waiting = [root]
            while waiting:
                with os.scandir(waiting.pop()) as listing:
                    for entry in listing:
                        status = entry.stat(follow_symlinks=False)
                        if status.st_dev != device:
                            continue
                        if self.is_bytecode(entry):
                            continue
                        yield entry.path, status
                        if stat.S_ISDIR(status.st_mode):
                            waiting.append(entry.path)

    def is_bytecode(self, entry):
        """Whether it is what Python writes beside sources, which forks do without."""
        return self.drafts and entry.name == "__pycache__" and entry.path.startswith(self.drafts["written"])

    def shown(self, path):
        """Where forks find a path that lies in one of the folders."""
        written = self.drafts and self.drafts["written"]
        return self.drafts["at"] + path[len(written) :] if written and path.startswith(written) else path

    def is_below(self, path):
        """Whether the disk has the folder as well, so that the import has written in it and not made it."""
        written = self.drafts and self.drafts["written"]
        return written and path.startswith(written) and os.path.isdir(self.drafts["lower"] + path[len(written) :])

    def why_shared(self, fork):
        """Keeps what the import has made. Says why forks cannot have it; None if they can."""
        try:
            self.folder = self.keep_folder()
            self.keep(os.geteuid())
            if self.home and not self.private:
                self.home = os.rmdir(self.home) if not os.listdir(self.home) else None
        except Refused as reason:
            return str(reason)
        except OSError as error:
            return f"leaves files that cannot be copied: {error}"
        if (self.entries or self.folder) and not self.private and not self.rehearse(fork):
            made = self.entries[0][1] if self.entries else self.folder
            return f"leaves files, of which forks cannot have copies here ({made})"
        return None

    def keep_folder(self):
        """The current folder, if it lies in one that forks have copies of."""
        try:
            current = os.getcwd()
        except FileNotFoundError:
            raise Refused("leaves the process in a folder that was removed") from None
        return current if current != self.began and self.holds(current, os.stat(".").st_dev) else None

    def holds(self, path, device):
        """Whether forks find their own copies at a path, which is on this device."""
        held = self.roots
        if self.drafts:
            held = [*held, (self.drafts["at"], os.stat(self.drafts["at"]).st_dev)]
        return any(device == of and (path == root or path.startswith(root + "/")) for root, of in held)

    def keep(self, user):
        size, links = 0, {}
        for path, status in self.walk():
            if self.before.get(path) == signature(status):
                continue
            kind, known = stat.S_IFMT(status.st_mode), links.get(status.st_ino)
            size += status.st_size
            if len(self.entries) >= MAX_ENTRIES or size > MAX_BYTES:
                raise Refused("leaves more files than are copied for each execution")
            if kind == stat.S_IFDIR and (path in self.before or self.is_below(path)):
                continue  # its new entries come along
            shown = self.shown(path)
            attributes = os.listxattr(path, follow_symlinks=False)
            if shown != path and kind == stat.S_IFDIR:
                attributes = [name for name in attributes if not name.startswith("user.overlay.")]
            if status.st_uid != user or attributes:
                raise Refused(f"leaves a file that cannot be copied ({shown})")
            if known:
                self.entries.append((os.link, shown, known, None))
                continue
            if status.st_nlink > 1 and kind != stat.S_IFDIR:
                links[status.st_ino] = shown
            self.entries.append((*self.content(path, shown, kind), status))

    @staticmethod
    def content(path, shown, kind):
        """How an entry is made again: a function, its path for forks, and what else the function needs."""
        if kind == stat.S_IFDIR:
            return make_folder, shown, None
        if kind == stat.S_IFLNK:
            return os.symlink, shown, os.readlink(path)
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                return make_file, shown, file.read()
        if kind == stat.S_IFCHR and shown != path:
            raise Refused(f"removes {shown}")
        raise Refused(f"leaves a socket, a pipe or a device ({shown})")

    def is_needed(self):
        """Whether forks have something to restore. Most imports leave nothing."""
        return bool(self.entries or self.folder or self.home)

    def restore(self):
        """In a fork: makes the files again."""
        if not self.private:
            mount_over([root for root, _ in self.roots])
        if self.home:
            os.makedirs(self.home, 0o700, exist_ok=True)
        for make, path, content, _ in self.entries:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if make in (make_folder, make_file):
                make(path, content)
            else:
                make(content, path)
        for make, path, _, status in reversed(self.entries):  # making an entry changes the time of its folder
            if make is not os.link:
                set_attributes(path, status)
        if self.folder:
            os.chdir(self.folder)

    def rehearse(self, fork):
        """Whether a fork can do that."""
        pid = fork()
        if pid == 0:
            code = 1
            try:
                self.restore()
                code = 0
            finally:
                os._exit(code)
        try:
            return os.waitpid(pid, 0)[1] == 0
        except ChildProcessError:  # the service has asked for its children not to be waited for
            return False


def signature(status):
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def make_folder(path, _):
    os.mkdir(path, 0o700)


def make_file(path, content):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)


def set_attributes(path, status):
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(path, stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def mount_over(folders):
    """Gives this process empty folders that no other process has, where the kernel lets it."""
    libc = ctypes.PyDLL(None, use_errno=True)

    def call(function, *arguments):
        if function(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "mount")

    call(libc.unshare, CLONE_NEWNS)
    call(libc.mount, None, b"/", None, ctypes.c_ulong(MS_REC | MS_SLAVE), None)
    for folder in folders:
        flags, mode = ctypes.c_ulong(MS_NOSUID | MS_NODEV), stat.S_IMODE(os.stat(folder).st_mode)
        call(libc.mount, b"tmpfs", os.fsencode(folder), b"tmpfs", flags, b"mode=%o" % mode)
