//! How much memory there is, and how much of it a table may take.

use std::path::{Path, PathBuf};

/// How much of a table may be kept where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes on the device; `None` for as many as it gives.
    pub device: Option<u64>,
    /// Bytes in memory; `None` for three quarters of what is available.
    pub host: Option<u64>,
    /// The folder of the scratch file; `None` for the system's temporary folder.
    pub scratch: Option<PathBuf>,
}

impl Limits {
    /// Bytes that may be kept in memory.
    pub fn host_bytes(&self) -> u64 {
        self.host.unwrap_or_else(|| available_memory() / 4 * 3)
    }

    /// The folder of the scratch file.
    pub(super) fn folder(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// Bytes of memory that are available to this process, the limits of its control groups included.
pub fn available_memory() -> u64 {
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing().with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
    );
    within_groups(system.available_memory(), Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))
}

/// What of `bytes` the control groups leave that the file `listed` lists, whose limits are under the mount point `root`.
fn within_groups(bytes: u64, listed: &Path, root: &Path) -> u64 {
    let groups = std::fs::read_to_string(listed).unwrap_or_default();
    room_in_groups(root, &groups).map_or(bytes, |room| room.min(bytes))
}

/// The least room that the control groups leave which `groups` lists (the text of `/proc/self/cgroup`), each with all
/// that it lies in, under the mount point `root`; of both versions of the interface. `None` without any limit.
fn room_in_groups(root: &Path, groups: &str) -> Option<u64> {
    let number = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let room = |group: &Path, limit: &str, usage: &str, cache: &str| {
        let limit = number(group.join(limit))?;
        let statistics = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let reclaimable = statistics.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok());
        let used = number(group.join(usage))?.saturating_sub(reclaimable.unwrap_or(0));
        Some(limit.saturating_sub(used))
    };
    groups
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, group) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let is_second_version = controllers.is_empty();
            let top = if is_second_version {
                root.to_owned()
            } else {
                controllers.split(',').find(|controller| *controller == "memory").map(|memory| root.join(memory))?
            };
            let all = Path::new(group).ancestors().map(|group| top.join(group));
            if is_second_version {
                all.filter_map(|group| room(&group, "memory.max", "memory.current", "inactive_file ")).min()
            } else {
                let names = ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "];
                all.filter_map(|group| room(&group, names[0], names[1], names[2])).min()
            }
        })
        .min()
}

/// Bytes of a chunk for a table whose host chunks may take `limit` bytes: large ones cost fewer calls, and the three
/// that are on their way to and from the scratch file should be a small part of the limit.
pub fn chunk_bytes(limit: u64) -> usize {
    (limit / 32).clamp(1 << 20, 16 << 20) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_control_group_decides() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
            std::fs::write(path, text).expect("is written");
        };
        let room = |groups: &str| room_in_groups(root.path(), groups);
        assert_eq!(room("0::/a/b\n"), None);
        // The second version of the interface: the outer group is the narrower one, and cached files can go.
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 300\ninactive_file 400\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "700\n");
        assert_eq!(room("0::/a/b\n"), Some(700));
        write("a/b/memory.max", "900\n");
        assert_eq!(room("0::/a/b\n"), Some(200));
        assert_eq!(room("0::/\n"), None);
        // The first: every controller has a tree of its own.
        write("memory/x/memory.limit_in_bytes", "500\n");
        write("memory/x/memory.usage_in_bytes", "450\n");
        write("memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 50\n");
        assert_eq!(room("5:cpu,cpuacct:/x\n4:memory:/x\n0::/\n"), Some(100));
        assert_eq!(room("4:cpuset:/x\n"), None);
        // What the system has is the most, and all of it where nothing limits it.
        write("listed", "0::/a/b\n");
        let within = |bytes: u64, listed: &str| within_groups(bytes, &root.path().join(listed), root.path());
        assert_eq!([100, 1000].map(|bytes| within(bytes, "listed")), [100, 200]);
        assert_eq!(within(1000, "nowhere"), 1000);
    }
}
