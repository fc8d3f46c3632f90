//! The memory of workspaces: taken when it is touched, refused when it is asked for.
#![cfg(target_os = "linux")]

mod common;

use bayeslift_ir::{Builder, Tensor, Type};
use bayeslift_runtime::{Argument, Error, Executable, Options};
use common::process::{in_a_process_of_its_own, memory};
use std::{fs, path::PathBuf};

const MIB: usize = 1 << 20;

/// Takes this many mebibytes between two products, and little for inputs and outputs.
fn step(mebibytes: usize) -> Executable {
    let b = Builder::new();
    let rows = mebibytes * (MIB / 4) / 1024;
    let (x, w) = (b.input("x", Type::f32([rows, 2])), b.input("w", Type::f32([2, 1024])));
    let hidden = x.dot(w).tanh();
    b.output("y", hidden.dot(b.input("v", Type::f32([1024, 2]))));
    b.output("z", hidden.sum(0));
    let executable = Executable::compile(b.finish().unwrap(), &Options::default().threads(1)).unwrap();
    assert!(executable.plan().arena_bytes >= mebibytes * MIB, "nothing lies in the arena");
    executable
}

/// What the system lacks for a test: reported, or in continuous integration an error.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "this test needs {what}");
    eprintln!("skipped: there is no {what}");
}

#[test]
fn memory_is_taken_when_a_call_touches_it() {
    in_a_process_of_its_own("memory_is_taken_when_a_call_touches_it", &[], || {
        let executable = step(256);
        let inputs: Vec<Tensor> = executable.inputs().map(|(_, ty)| Tensor::zeros(ty).unwrap()).collect();
        let [_, before] = memory();
        let mut workspaces: Vec<_> = (0..3).map(|_| executable.workspace().unwrap()).collect();
        let [_, made] = memory();
        assert!(made < before + 16 * MIB, "{before} bytes became {made} before any call");
        let mut arguments: Vec<Argument> = inputs.iter().map(Argument::from).collect();
        executable.call(&mut workspaces[0], &mut arguments).unwrap();
        let [_, called] = memory();
        assert!((256 * MIB..320 * MIB).contains(&(called - made)), "{made} bytes became {called} in a call");
        executable.call(&mut workspaces[0], &mut arguments).unwrap();
        let [_, again] = memory();
        assert!(again < called + 16 * MIB, "{called} bytes became {again} in a second call");
        drop(workspaces);
        let [_, dropped] = memory();
        assert!(dropped < made + 16 * MIB, "{dropped} bytes are left, before there were {made}");
    });
}

fn is_out_of_memory<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::OutOfMemory { .. }))
}

/// A limit of address space: the allocator's answer.
#[test]
fn address_space_that_is_not_there_is_an_error() {
    in_a_process_of_its_own("address_space_that_is_not_there_is_an_error", &[], || {
        let executable = step(1024);
        let [space, _] = memory();
        let limit = libc::rlimit { rlim_cur: (space + 512 * MIB) as u64, rlim_max: (space + 512 * MIB) as u64 };
        // SAFETY: limits this process.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
        assert!(is_out_of_memory(executable.workspace()));
        assert!(is_out_of_memory(Tensor::zeros(&Type::f32([1 << 28])).map_err(Error::from)));
        step(64).workspace().unwrap();
    });
}

/// A control group of this process's own with a limit, if the system has them and lets us.
fn limited_group(bytes: usize) -> Option<PathBuf> {
    let process = std::process::id();
    for (root, limit) in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")] {
        let group = PathBuf::from(root).join(format!("bayeslift-test-{process}"));
        // the limit of the outer one must be found from the inner one
        let inner = group.join("inner");
        let is_made = fs::create_dir(&group).is_ok()
            && fs::create_dir(&inner).is_ok()
            && fs::write(group.join(limit), bytes.to_string()).is_ok()
            && fs::write(inner.join("cgroup.procs"), process.to_string()).is_ok();
        if is_made {
            return Some(group);
        }
        let _ = (fs::remove_dir(&inner), fs::remove_dir(&group));
    }
    None
}

/// What other workspaces were promised counts until they have touched it, and then as what the group uses.
#[test]
fn a_control_groups_limit_is_an_error_when_memory_is_asked_for() {
    in_a_process_of_its_own("a_control_groups_limit_is_an_error_when_memory_is_asked_for", &[], || {
        let (executable, small, huge) = (step(256), step(8), step(2048));
        let inputs: Vec<Tensor> = executable.inputs().map(|(_, ty)| Tensor::zeros(ty).unwrap()).collect();
        let mut arguments: Vec<Argument> = inputs.iter().map(Argument::from).collect();
        let Some(group) = limited_group(768 * MIB) else { return skip("control group that this process may make") };
        let test = || {
            assert!(is_out_of_memory(huge.workspace()), "2 GiB of 768 MiB");
            let mut one = executable.workspace().unwrap();
            let two = executable.workspace().unwrap();
            assert!(is_out_of_memory(executable.workspace()), "a third, while two are promised");
            executable.call(&mut one, &mut arguments).unwrap();
            assert!(is_out_of_memory(executable.workspace()), "a third, while one is used and one promised");
            drop(two);
            drop(executable.workspace().unwrap());
            (0..50).for_each(|_| drop(small.workspace().unwrap()));
            assert!(is_out_of_memory(Tensor::zeros(&Type::f32([1 << 28])).map_err(Error::from)), "a tensor of 1 GiB");
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        let process = std::process::id().to_string();
        fs::write(group.parent().unwrap().join("cgroup.procs"), process).unwrap();
        let _ = (fs::remove_dir(group.join("inner")), fs::remove_dir(&group));
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
}
