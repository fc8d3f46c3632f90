//! Whether the machine has memory: systems promise what they do not have, and end the process that touches it. So large
//! amounts are asked for here first.
//!
//! On Linux that is the memory that is available and the swap space that is free, or what is left to a control group
//! that the process is in, or to one of the groups around that, of version 1 or 2; what those hold of files' contents
//! counts as free, their swap space does not. Elsewhere the allocator alone decides. Amounts below [`LARGE`] cost
//! nothing: nobody is asked.

use crate::Error;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// What is asked for: 64 MiB. It takes milliseconds to fill, the question some tens of microseconds.
pub const LARGE: u64 = 1 << 26;

/// This part of what is available stays free: no system can give everything.
const SPARE: u64 = 32;

/// The bytes of all [`Reservation`]s. A count, which orders nothing.
static RESERVED: AtomicU64 = AtomicU64::new(0);

/// Large memory that was promised to somebody and not touched yet, so that the system does not know of it: others do
/// not get it.
///
/// ```
/// use bayeslift_ir::memory::{LARGE, Reservation};
/// // below `LARGE` nobody is asked, and nothing is counted
/// let promised = Reservation::new(LARGE - 1, "the workspace")?;
/// let workspace = vec![1_u8; 1 << 20];
/// drop(promised);
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
#[derive(Debug)]
pub struct Reservation(u64);

impl Reservation {
    /// Reserves this many bytes until it is dropped; drop it when the memory has been touched. `what` it is for stands
    /// in the error.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if the machine has not that much beside what others have reserved; one part in 32 of what
    /// is available stays free.
    pub fn new(bytes: u64, what: &'static str) -> Result<Reservation, Error> {
        if bytes < LARGE {
            return Ok(Reservation(0));
        }
        // counted first, so that of two who ask at once both know
        let others = RESERVED.fetch_add(bytes, Ordering::Relaxed);
        let reservation = Reservation(bytes);
        let read = |path: &Path| fs::read_to_string(path).ok();
        match available(&read) {
            Some(available) if bytes > (available - available / SPARE).saturating_sub(others) => {
                Err(Error::OutOfMemory { what, bytes })
            }
            _ => Ok(reservation),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.0 > 0 {
            RESERVED.fetch_sub(self.0, Ordering::Relaxed);
        }
    }
}

/// Checks that the machine can give this many elements of `size` bytes, to somebody who fills them at once. `what` they
/// are for stands in the error.
///
/// # Errors
/// [`Error::OutOfMemory`] if it cannot, or if the allocator refuses.
///
/// ```
/// use bayeslift_ir::memory;
/// memory::check(1000, 4, "a table")?;
/// let error = memory::check(usize::MAX, 4, "a table").unwrap_err();
/// assert_eq!(error.to_string(), "out of memory: 18446744073709551615 bytes for a table");
/// # Ok::<(), bayeslift_ir::Error>(())
/// ```
pub fn check(elements: usize, size: usize, what: &'static str) -> Result<(), Error> {
    let bytes = (elements as u64).saturating_mul(size as u64);
    if bytes < LARGE {
        return Ok(());
    }
    Reservation::new(bytes, what)?;
    // and so does the allocator, which knows of limits of address space; what was not touched is given back for nothing
    let bytes_to_try = usize::try_from(bytes).unwrap_or(usize::MAX);
    Vec::<u8>::new().try_reserve_exact(bytes_to_try).map_err(|_| Error::OutOfMemory { what, bytes })
}

/// The bytes that can be had, by the files that `read` finds; `None` if there are none.
fn available(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| of_machine(&text));
    let groups = read(Path::new("/proc/self/cgroup")).zip(read(Path::new("/proc/self/mountinfo")));
    let groups = groups.map(|(groups, mounts)| hierarchies(&groups, &mounts)).unwrap_or_default();
    let of_groups = groups.iter().flat_map(|hierarchy| hierarchy.rooms(read));
    machine.into_iter().chain(of_groups).min()
}

/// `MemAvailable` and `SwapFree` of `/proc/meminfo`.
fn of_machine(meminfo: &str) -> Option<u64> {
    let kibibytes = |name: &str| meminfo.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    let bytes = |name: &str| kibibytes(name)?.trim().parse::<u64>().ok()?.checked_mul(1024);
    Some(bytes("MemAvailable:")?.saturating_add(bytes("SwapFree:").unwrap_or(0)))
}

/// Control groups that account for memory: where this process is, and the root of all that can be seen.
#[derive(Debug, PartialEq)]
struct Hierarchy {
    version: u8,
    group: PathBuf,
    root: PathBuf,
}

/// By `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn hierarchies(groups: &str, mounts: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for mount in mounts.lines() {
        // id, parent, device, root, mount point, options .. - type, source, options
        let Some((before, after)) = mount.split_once(" - ") else { continue };
        let (before, after): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
        let (&[_, _, _, seen, at, ..], &[kind, _, options, ..]) = (&before[..], &after[..]) else { continue };
        let names_memory = |list: &str| list.split(',').any(|name| name == "memory");
        let version = match kind {
            "cgroup2" => 2,
            "cgroup" if names_memory(options) => 1,
            _ => continue,
        };
        // number, controllers, path
        let own = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let is_it = if version == 2 { controllers.is_empty() } else { names_memory(controllers) };
            is_it.then_some(path)
        });
        let Some(own) = own else { continue };
        let root = PathBuf::from(unescaped(at));
        // the mount may show a part of the groups; a path outside of it is in another name space
        let inside = Path::new(own).strip_prefix(unescaped(seen)).ok();
        let is_plain = |path: &&Path| !path.components().any(|part| part.as_os_str() == "..");
        let group = inside.filter(is_plain).map_or(root.clone(), |inside| root.join(inside));
        found.push(Hierarchy { version, group, root });
    }
    found
}

/// `mountinfo` writes blanks as `\040`.
fn unescaped(path: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(path.to_owned(), |path, (escape, character)| path.replace(escape, character))
}

impl Hierarchy {
    /// What is left to the group and to each of those around it that has a limit.
    fn rooms(&self, read: &dyn Fn(&Path) -> Option<String>) -> Vec<u64> {
        let [limit, usage, files] = match self.version {
            1 => ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_"],
            _ => ["memory.max", "memory.current", ""],
        };
        let groups = self.group.ancestors().take_while(|group| group.starts_with(&self.root));
        let room = |group: &Path| {
            let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
            // "max" is no number
            let (limit, usage) = (number(limit)?, number(usage)?);
            let stat = read(&group.join("memory.stat")).unwrap_or_default();
            let of_files = |kind: &str| {
                let name = format!("{files}{kind}_file ");
                stat.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap_or(0)
            };
            let used = usage.saturating_sub(of_files("inactive")).saturating_sub(of_files("active"));
            Some(limit.saturating_sub(used))
        };
        groups.filter_map(room).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of a fixture: paths with their texts.
    fn files(fixture: &'static [(&'static str, &'static str)]) -> impl Fn(&Path) -> Option<String> {
        |path| fixture.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    }

    const MEMINFO: (&str, &str) = (
        "/proc/meminfo",
        "MemTotal:       24683652 kB\nMemFree:         9245748 kB\nMemAvailable:    1000000 kB\nSwapTotal:      2000 kB\nSwapFree:           1000 kB\n",
    );

    #[test]
    fn without_groups_the_machine_decides() {
        assert_eq!(available(&files(&[MEMINFO])), Some(1_001_000 * 1024));
        assert_eq!(available(&files(&[])), None);
        assert_eq!(available(&files(&[("/proc/meminfo", "MemAvailable: many kB\n")])), None);
        assert_eq!(available(&files(&[("/proc/meminfo", "MemAvailable: 99999999999999999999999 kB\n")])), None);
    }

    #[test]
    fn the_tightest_group_of_version_2_decides() {
        let read = files(&[
            MEMINFO,
            ("/proc/self/cgroup", "0::/a.slice/b.scope\n"),
            (
                "/proc/self/mountinfo",
                "31 23 0:28 / /sys rw - sysfs sysfs rw\n35 31 0:32 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("/sys/fs/cgroup/a.slice/b.scope/memory.max", "max\n"),
            ("/sys/fs/cgroup/a.slice/b.scope/memory.current", "4096\n"),
            ("/sys/fs/cgroup/a.slice/memory.max", "500000000\n"),
            ("/sys/fs/cgroup/a.slice/memory.current", "200000000\n"),
            (
                "/sys/fs/cgroup/a.slice/memory.stat",
                "anon 1\nfile 90000000\ninactive_file 40000000\nactive_file 10000000\n",
            ),
        ]);
        assert_eq!(available(&read), Some(350_000_000));
    }

    #[test]
    fn a_container_sees_a_part_of_version_1() {
        let read = files(&[
            MEMINFO,
            ("/proc/self/cgroup", "12:cpu,cpuacct:/x\n5:memory:/docker/abc/in ner\n0::/\n"),
            (
                "/proc/self/mountinfo",
                "35 31 0:32 /docker/abc /sys/fs/cgroup/me\\040mory rw - cgroup cgroup rw,memory\n36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
            ),
            ("/sys/fs/cgroup/me mory/in ner/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/me mory/in ner/memory.usage_in_bytes", "4096\n"),
            ("/sys/fs/cgroup/me mory/memory.limit_in_bytes", "100000000\n"),
            ("/sys/fs/cgroup/me mory/memory.usage_in_bytes", "150000000\n"),
            (
                "/sys/fs/cgroup/me mory/memory.stat",
                "inactive_file 7\ntotal_inactive_file 60000000\ntotal_active_file 0\n",
            ),
        ]);
        assert_eq!(available(&read), Some(10_000_000));
    }

    #[test]
    fn groups_of_another_name_space_are_those_that_can_be_seen() {
        let mount = "35 31 0:32 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        for (own, group) in [("0::/../other\n", "/sys/fs/cgroup"), ("0::/a\n", "/sys/fs/cgroup/a")] {
            let want = Hierarchy { version: 2, group: group.into(), root: "/sys/fs/cgroup".into() };
            assert_eq!(hierarchies(own, mount), [want]);
        }
        assert!(hierarchies("0::/\n", "no mount\n1 2 3 - cgroup2\n").is_empty());
        assert!(hierarchies("nonsense", mount).is_empty());
    }

    #[test]
    fn what_is_reserved_others_do_not_get() {
        let most = available(&|path: &Path| fs::read_to_string(path).ok());
        let Some(most) = most.filter(|most| *most > 4 * LARGE) else {
            assert!(cfg!(not(target_os = "linux")) || std::env::var_os("CI").is_none(), "no memory to test with");
            return eprintln!("skipped: nothing is known of this machine's memory, or it has little");
        };
        let two_thirds = Reservation::new(most / 3 * 2, "a test").unwrap();
        let error = Reservation::new(most / 3 * 2, "another test").unwrap_err();
        assert_eq!(error, Error::OutOfMemory { what: "another test", bytes: most / 3 * 2 });
        assert!(check((most / 3 * 2) as usize, 1, "another test").is_err());
        // little is nobody's question, and what failed is not counted
        check(LARGE as usize - 1, 1, "little").unwrap();
        drop(two_thirds);
        drop(Reservation::new(most / 3 * 2, "a test").unwrap());
        assert!(check(usize::MAX, 4, "everything").is_err());
    }
}
