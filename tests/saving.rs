//! Saving: a file is there as a whole or not at all, at the place and with the rights that it had.
//!
//! `BAYESLIFT_CASES=2000 cargo test --test saving` kills that many programs that save.
#![cfg(all(unix, feature = "npz"))]

#[allow(dead_code)] // Each test uses a part of it.
mod facade;
#[allow(dead_code)]
mod files;

use bayeslift::{
    NewFile,
    ir::arbitrary::{cases, seed},
    prelude::*,
};
use facade::bits;
use files::{Random, folder, unavailable};
use std::{
    env, fs,
    io::Write,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

fn network(seed: u64) -> Network {
    let layers =
        Sequential::new().layer(AffineVariationalReparameterizationLocal::new(8, 64)).layer(Affine::new(64, 2));
    Network::new(layers, [8], likelihood::Categorical, seed).unwrap()
}

/// Both ways to save, with the way to load.
type Save = fn(&Network, &Path) -> Result<(), Error>;
type Load = fn(&mut Network, &Path) -> Result<(), Error>;
const WAYS: [(Save, Load); 2] = [
    (|network, path| network.save(path), |network, path| network.load(path)),
    (|network, path| network.save_tfp(path), |network, path| network.load_tfp(path)),
];

fn loads(load: Load, path: &Path, expected: u64) {
    let mut loaded = network(99);
    load(&mut loaded, path).unwrap();
    assert_eq!(bits(&loaded), bits(&network(expected)), "{}", path.display());
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Runs a program; whether it succeeded.
fn run(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_replaced_file_keeps_its_mode_and_owner() {
    for (save, load) in WAYS {
        let folder = folder("saving-mode");
        let path = folder.join("model");
        save(&network(1), &path).unwrap();
        let fresh = fs::metadata(&path).unwrap().mode() & 0o777;
        for mode in [0o600, 0o640, 0o444, 0o666, fresh] {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            save(&network(2), &path).unwrap();
            let found = fs::metadata(&path).unwrap().mode() & 0o777;
            assert_eq!(found, mode, "{found:o} instead of {mode:o}");
            loads(load, &path, 2);
        }
        if is_root() {
            chown(&path, Some(12345), Some(54321)).unwrap();
            save(&network(3), &path).unwrap();
            let metadata = fs::metadata(&path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
        } else {
            unavailable("root, to give a file away");
        }
        assert_eq!(names(&folder), ["model"]);
    }
}

#[test]
fn links_stay_and_their_targets_are_written() {
    for (save, load) in WAYS {
        let folder = folder("saving-links");
        fs::create_dir(folder.join("inner")).unwrap();
        let target = folder.join("inner/model");
        save(&network(1), &target).unwrap();
        // A chain: absolute, relative to its folder, through a linked folder.
        symlink("inner/model", folder.join("relative")).unwrap();
        symlink(folder.join("relative"), folder.join("absolute")).unwrap();
        symlink("inner", folder.join("linked")).unwrap();
        symlink("../absolute", folder.join("inner/back")).unwrap();
        for (i, name) in ["relative", "absolute", "inner/back", "linked/back", "linked/model"].into_iter().enumerate() {
            let seed = 10 + i as u64;
            save(&network(seed), &folder.join(name)).unwrap();
            loads(load, &target, seed);
            assert!(!fs::symlink_metadata(&target).unwrap().is_symlink());
        }
        assert_eq!(names(&folder), ["absolute", "inner", "linked", "relative"]);
        assert_eq!(names(&folder.join("inner")), ["back", "model"]);
        for name in ["relative", "absolute", "inner/back"] {
            assert!(fs::symlink_metadata(folder.join(name)).unwrap().is_symlink(), "{name}");
        }
        // A link to what is not there yet, and one to itself.
        symlink("inner/new", folder.join("dangling")).unwrap();
        save(&network(3), &folder.join("dangling")).unwrap();
        loads(load, &folder.join("inner/new"), 3);
        assert!(fs::symlink_metadata(folder.join("dangling")).unwrap().is_symlink());
        symlink("circle", folder.join("circle")).unwrap();
        let error = save(&network(3), &folder.join("circle")).unwrap_err();
        assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
        assert!(error.to_string().contains("a chain of more than 40 links"), "{error}");
        symlink("no/such/folder", folder.join("nowhere")).unwrap();
        assert!(matches!(save(&network(3), &folder.join("nowhere")), Err(Error::File { action: "write", .. })));
    }
}

/// What is not finished was never there.
#[test]
fn a_file_that_is_dropped_changes_nothing() {
    let folder = folder("saving-dropped");
    let path = folder.join("file");
    for before in [None, Some("before")] {
        if let Some(text) = before {
            fs::write(&path, text).unwrap();
        }
        let mut file = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), before);
        assert_eq!(names(&folder).len(), before.iter().len());
    }
    let mut file = NewFile::create(&path).unwrap();
    // nobody takes it for one that was left behind
    network(1).save(folder.join("model")).unwrap();
    file.write_all(b"after").unwrap();
    file.finish().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "after");
    assert_eq!(names(&folder), ["file", "model"]);
}

#[test]
fn what_is_no_regular_file_stays_what_it_is() {
    for (save, _) in WAYS {
        let folder = folder("saving-special");
        let check = |name: &str, what: &str| {
            let path = folder.join(name);
            let before = fs::symlink_metadata(&path).unwrap();
            let error = save(&network(1), &path).unwrap_err();
            assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
            assert!(error.to_string().ends_with(&format!("it is {what}, not a regular file")), "{error}");
            let after = fs::symlink_metadata(&path).unwrap();
            assert_eq!((after.ino(), after.file_type()), (before.ino(), before.file_type()));
        };
        fs::create_dir(folder.join("taken")).unwrap();
        check("taken", "a folder");
        // The name of a socket has at most a hundred bytes.
        let short = env::temp_dir().join(format!("bayeslift-{}", std::process::id()));
        let _ = fs::remove_file(&short);
        let _socket = UnixListener::bind(&short).unwrap();
        symlink(&short, folder.join("socket")).unwrap();
        check("socket", "a socket");
        fs::remove_file(&short).unwrap();
        symlink("/dev/null", folder.join("null")).unwrap();
        check("null", "a device");
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let path = |name: &str| folder.join(name).into_os_string().into_string().unwrap();
        if run("mkfifo", &[&path("pipe")]) {
            check("pipe", "a pipe");
        } else {
            unavailable("the program mkfifo");
        }
        if run("mknod", &[&path("device"), "c", "1", "3"]) {
            check("device", "a device");
        } else {
            unavailable("the right to make a device node");
        }
        assert!(names(&folder).iter().all(|name| !name.ends_with(".tmp")));
    }
}

#[test]
fn names_are_as_long_as_the_system_allows() {
    for (save, load) in WAYS {
        let folder = folder("saving-names");
        for length in [1, 200, 233, 234, 240, 255] {
            let path = folder.join("n".repeat(length));
            save(&network(1), &path).unwrap();
            save(&network(2), &path).unwrap();
            loads(load, &path, 2);
        }
        let error = save(&network(1), &folder.join("n".repeat(256))).unwrap_err();
        assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
        assert_eq!(names(&folder).len(), 6);
    }
}

/// What a killed program left is removed by the next save; what others write, or what only looks like it, is not.
#[test]
fn only_what_nobody_writes_is_removed() {
    let folder = folder("saving-stale");
    let file = |name: &str| {
        let path = folder.join(name);
        fs::write(&path, "half a model").unwrap();
        path
    };
    let written = fs::File::open(file(".bayeslift-1-00000000000000aa.tmp")).unwrap();
    written.lock().unwrap();
    file(".bayeslift-1-00000000000000bb.tmp");
    file("bayeslift-1-00000000000000bb.tmp");
    file(".bayeslift-1-00000000000000bb.bak");
    file(".bayeslift-.tmp2");
    fs::create_dir(folder.join(".bayeslift-2-folder.tmp")).unwrap();
    symlink("bayeslift-1-00000000000000bb.tmp", folder.join(".bayeslift-3-link.tmp")).unwrap();
    if !run("mkfifo", &[folder.join(".bayeslift-4-pipe.tmp").to_str().unwrap()]) {
        return unavailable("the program mkfifo");
    }
    network(1).save(folder.join("model")).unwrap();
    let expected = [
        ".bayeslift-.tmp2",
        ".bayeslift-1-00000000000000aa.tmp",
        ".bayeslift-1-00000000000000bb.bak",
        ".bayeslift-2-folder.tmp",
        ".bayeslift-3-link.tmp",
        ".bayeslift-4-pipe.tmp",
        "bayeslift-1-00000000000000bb.tmp",
        "model",
    ];
    assert_eq!(names(&folder), expected);
    drop(written);
    // a program that another test starts may have it too, for as long as it takes to start
    let is_removed = || {
        network(1).save_tfp(folder.join("model")).unwrap();
        !names(&folder).contains(&expected[1].to_owned())
    };
    assert!((0..1000).any(|_| is_removed()));
}

/// Threads that save over one file and remove each other's leavings, if there were any.
#[test]
fn many_save_at_once() {
    let folder = folder("saving-threads");
    let path = folder.join("model");
    let networks = [network(1), network(2)];
    thread::scope(|scope| {
        for i in 0..4 {
            let (networks, path) = (&networks, &path);
            scope.spawn(move || (0..cases(20)).for_each(|_| networks[i % 2].save(path).unwrap()));
        }
    });
    let mut loaded = network(3);
    loaded.load(&path).unwrap();
    assert!(networks.iter().any(|network| bits(network) == bits(&loaded)));
    assert_eq!(names(&folder), ["model"]);
}

/// Where the child programs of these tests save; nothing where the tests themselves run.
const FOLDER: &str = "BAYESLIFT_TEST_FOLDER";

/// This test program, which is to run only the test of this name, with `FOLDER` set.
fn child(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command.env(FOLDER, folder).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A child's part: saves two networks in turns, for ever.
#[test]
fn save_until_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    let networks = [network(1), network(2)];
    loop {
        for network in &networks {
            network.save(folder.join("model")).unwrap();
            network.save_tfp(folder.join("model.npz")).unwrap();
        }
    }
}

#[test]
fn a_killed_program_leaves_a_whole_file() {
    let folder = folder("saving-killed");
    network(1).save(folder.join("model")).unwrap();
    network(1).save_tfp(folder.join("model.npz")).unwrap();
    let own = [network(1), network(2)].map(|network| bits(&network));
    let (mut left, mut replaced) = (0, 0);
    let seed = seed();
    for case in 0..cases(100) {
        let about = || format!("case {case} of BAYESLIFT_SEED={seed}");
        let mut random = Random::of_case(seed, case);
        let mut children: Vec<Child> =
            (0..1 + random.below(2)).map(|_| child("save_until_killed", &folder).spawn().unwrap()).collect();
        thread::sleep(Duration::from_micros(2_000 + random.next() % 20_000));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        left += names(&folder).len() - 2;
        for (name, (_, load)) in ["model", "model.npz"].into_iter().zip(WAYS) {
            let mut loaded = network(3);
            load(&mut loaded, &folder.join(name)).unwrap_or_else(|error| panic!("{}: {error}", about()));
            assert!(own.contains(&bits(&loaded)), "{}", about());
            replaced += usize::from(bits(&loaded) == own[1]);
        }
    }
    eprintln!("{left} temporary files were found after kills");
    assert!(left + replaced > 0, "no child came to save");
    network(2).save(folder.join("model")).unwrap();
    assert_eq!(names(&folder), ["model", "model.npz"]);
}

/// A child's part: saves once more, which must fail.
#[test]
fn save_where_there_is_no_room() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    for (name, (save, _)) in ["model", "model.npz"].into_iter().zip(WAYS) {
        for name in [name, "new"] {
            let error = save(&network(2), &folder.join(name)).unwrap_err();
            assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
        }
    }
}

/// As on a full disk: a file may not become larger than a few blocks.
#[test]
fn a_save_that_fails_changes_nothing() {
    let folder = folder("saving-limit");
    network(1).save(folder.join("model")).unwrap();
    network(1).save_tfp(folder.join("model.npz")).unwrap();
    let program = child("save_where_there_is_no_room", &folder);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$@\"", "sh"]).arg(program.get_program());
    shell.args(program.get_args()).env(FOLDER, &folder).stdout(Stdio::null());
    assert!(shell.status().unwrap().success());
    loads(WAYS[0].1, &folder.join("model"), 1);
    loads(WAYS[1].1, &folder.join("model.npz"), 1);
    assert_eq!(names(&folder), ["model", "model.npz"]);
}

#[test]
fn a_full_disk_changes_nothing() {
    let folder = folder("saving-full");
    let path = folder.to_str().unwrap();
    if !run("mount", &["-t", "tmpfs", "-o", "size=128k", "tmpfs", path]) {
        return unavailable("the right to mount a file system in memory");
    }
    // Whatever happens, it is unmounted.
    let result = std::panic::catch_unwind(|| {
        for (name, (save, load)) in ["model", "model.npz"].into_iter().zip(WAYS) {
            save(&network(1), &folder.join(name)).unwrap();
            fs::write(folder.join("filler"), vec![7; 1 << 20]).unwrap_err();
            for name in [name, "new"] {
                let error = save(&network(2), &folder.join(name)).unwrap_err();
                assert!(matches!(error, Error::File { action: "write", .. }), "{error}");
            }
            loads(load, &folder.join(name), 1);
            fs::remove_file(folder.join("filler")).unwrap();
        }
        assert_eq!(names(&folder), ["model", "model.npz"]);
    });
    assert!(run("umount", &[path]));
    result.unwrap();
}
