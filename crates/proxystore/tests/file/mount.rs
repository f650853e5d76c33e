//! File systems of a trial's own.

use std::path::Path;

/// Mounts memory, seen by this process alone; options as `mount -o` takes them.
pub(crate) fn mount_memory(at: &Path, options: &str) {
    let (user, group) =
        // SAFETY: no more than numbers come back.
        unsafe { (libc::geteuid(), libc::getegid()) };
    if user == 0 {
        // SAFETY: only a number goes in.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
    } else {
        // SAFETY: only a number goes in.
        let own = unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWUSER) };
        assert_eq!(own, 0, "run as root, or where user namespaces are allowed");
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/gid_map", format!("0 {group} 1")).unwrap();
    }
    let mount = |kind: Option<&str>, at: &Path, flags: libc::c_ulong, options: &str| {
        let c = |text: &str| std::ffi::CString::new(text).unwrap();
        let (kind, at, options) = (
            c(kind.unwrap_or("none")),
            c(at.to_str().unwrap()),
            c(options),
        );
        // SAFETY: every text ends with a zero byte.
        let mounted = unsafe {
            let (kind, options) = (kind.as_ptr(), options.as_ptr());
            libc::mount(kind, at.as_ptr(), kind, flags, options.cast())
        };
        assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
    };
    let flags = if options.ends_with(",ro") {
        libc::MS_RDONLY
    } else {
        0
    };
    let options = options.trim_end_matches(",ro");
    mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, "");
    mount(Some("tmpfs"), at, flags, options);
}
