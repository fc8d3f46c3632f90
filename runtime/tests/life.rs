//! The life of executables: the same code from every compilation, memory that comes back, machines that refuse.

mod common;

use bayeslift_codegen::lower;
use bayeslift_ir::{
    Builder, DType, Graph, Noise, NoiseAddress, NoiseDistribution, Shape, Tensor, Type, arbitrary, same_bits,
};
use bayeslift_passes::{Plan, Rewriting, simplify};
use bayeslift_runtime::{CodeError, Error, Executable, Options, Target};
use common::{call, process::in_a_process_of_its_own, run};
use proptest::{strategy::Strategy, strategy::ValueTree, test_runner::TestRunner};

/// Two noisy layers, a loss and an update, with work for three threads.
fn network() -> Graph {
    let b = Builder::new();
    let (x, w) = (b.input("x", Type::f32([160, 64])), b.input("w", Type::f32([64, 96])));
    let key = b.input("key", Type::u32([4]));
    let (first_sample, first_row) = (b.input("sample", Type::u32([])), b.input("row", Type::u32([2])));
    let address = NoiseAddress { key, first_sample, first_row };
    let noise = |stream| {
        let (distribution, shape) = (NoiseDistribution::Normal, Shape::new(&[160, 96]));
        b.noise(
            Noise { distribution, dtype: DType::F32, stream, sample_axis: None, example_axis: Some(0), shape },
            address,
        )
    };
    let hidden = (x.dot(w) + noise(1) * 1e-3).tanh();
    let deviation = x.square().dot(w.square()).sqrt() * noise(2);
    b.output("hidden", hidden);
    b.output("loss", (hidden * deviation * 1e-38).sum_all());
    b.output_updating("w", w * 0.99 + hidden.sum(0) * (b.constant(1.0) / 3.0), w);
    b.finish().unwrap()
}

/// Everything that decides what runs: the plan and the tile code of each kernel.
fn code_text(graph: &Graph) -> String {
    let plan = Plan::new(simplify(graph).unwrap()).unwrap();
    let stages = plan.kernels.iter().flat_map(|kernel| lower(&plan, kernel, Target::host().with_lanes(4), 1));
    let stages =
        stages.map(|lowered| format!("{}\n{:?} {} {}\n", lowered.code, lowered.arguments, lowered.tiles, lowered.cost));
    format!("{plan}{}", stages.collect::<String>())
}

#[test]
fn compiling_again_gives_the_same_code() {
    let config = arbitrary::config(40);
    let cases = config.cases;
    let mut runner = TestRunner::new(config);
    let strategy = arbitrary::graph_and_inputs();
    let mut graphs: Vec<Graph> = (0..cases).map(|_| strategy.new_tree(&mut runner).unwrap().current().0).collect();
    graphs.push(network());
    let texts: Vec<String> = graphs.iter().map(code_text).collect();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert!(graphs.iter().map(code_text).eq(texts.iter().cloned()), "the code differs"));
        }
    });
}

#[test]
fn many_threads_share_an_executable() {
    let graph = network();
    let inputs = common::some_inputs(&graph);
    let executable = Executable::compile(graph.clone(), &Options::default().threads(3).finest(true)).unwrap();
    let want = call(&executable, &graph, &inputs).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let got = call(&executable, &graph, &inputs).unwrap();
                    got.iter().zip(&want).for_each(|(got, want)| assert_eq!(same_bits(got, want), Ok(())));
                }
            });
        }
    });
}

#[test]
fn a_workspace_serves_its_executable_alone() {
    let graph = network();
    let mut workspace = Executable::compile(graph.clone(), &Options::default()).unwrap().workspace().unwrap();
    let other = Executable::compile(graph, &Options::default()).unwrap();
    assert!(matches!(other.call(&mut workspace, &mut []), Err(Error::ForeignWorkspace)));
}

#[test]
fn absurd_numbers_of_threads_cost_nothing() {
    let graph = network();
    let inputs = common::some_inputs(&graph);
    let want = run(&graph, &inputs, &Options::default()).unwrap();
    let got = run(&graph, &inputs, &Options::default().threads(usize::MAX)).unwrap();
    got.iter().zip(&want).for_each(|(got, want)| assert_eq!(same_bits(got, want), Ok(())));
}

#[cfg(target_os = "linux")]
#[test]
fn dropped_executables_give_their_memory_back() {
    in_a_process_of_its_own("dropped_executables_give_their_memory_back", &[], || {
        let compile = || Executable::compile(network(), &Options::default()).unwrap();
        let mut live: Vec<Executable> = (0..20).map(|_| compile()).collect();
        let before = common::process::memory();
        live.extend((0..50).map(|_| compile()));
        let [space, _] = common::process::memory();
        assert!(space - before[0] < 50 << 20, "{} bytes of address space for 50 executables", space - before[0]);
        live.truncate(20);
        for _ in 0..500 {
            compile();
        }
        for (after, before) in common::process::memory().into_iter().zip(before) {
            assert!(after < before + (32 << 20), "{before} bytes became {after}");
        }
    });
}

/// Threads that cannot start are not waited for.
#[cfg(unix)]
#[test]
fn threads_that_do_not_start() {
    // stacks of a million gigabytes
    let stacks = [("RUST_MIN_STACK", "1000000000000000")];
    in_a_process_of_its_own("threads_that_do_not_start", &stacks, || {
        assert!(std::thread::Builder::new().spawn(|| ()).is_err());
        let graph = network();
        let inputs = common::some_inputs(&graph);
        let options = Options::default().threads(3).finest(true).rewriting(Rewriting::Exact);
        let want = bayeslift_ir::evaluate(&graph, &inputs).unwrap();
        let got = run(&graph, &inputs, &options).unwrap();
        got.iter().zip(&want).for_each(|(got, want)| assert_eq!(same_bits(got, want), Ok(())));
    });
}

/// Systems that let no program write code and run it get an error, not a panic.
#[cfg(target_os = "linux")]
#[test]
fn refused_executable_memory_is_an_error() {
    in_a_process_of_its_own("refused_executable_memory_is_an_error", &[], || {
        // SAFETY: forbids this process to make memory executable.
        let refused = unsafe { libc::prctl(libc::PR_SET_MDWE, libc::PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) } == 0;
        if !refused {
            assert!(std::env::var_os("CI").is_none(), "this system cannot refuse executable memory");
            return eprintln!("skipped: this system cannot refuse executable memory");
        }
        let error = Executable::compile(network(), &Options::default()).expect_err("the system refuses").to_string();
        assert!(error.starts_with("no executable memory"), "{error}");
    });
}

/// Lets the system answer that it makes no memory executable, from here on, on this thread. Returns whether it will.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn refuse_executable_memory() -> bool {
    const NUMBER: u32 = 0;
    /// The lower half of the third argument, the protection.
    const PROTECTION: u32 = 32;
    let load =
        |at| libc::sock_filter { code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, jt: 0, jf: 0, k: at };
    let jump = |kind: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | kind | libc::BPF_K) as u16,
        jt,
        jf,
        k,
    };
    let give = |k: u32| libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k };
    let mut filter = [
        load(NUMBER),
        jump(libc::BPF_JEQ, libc::SYS_mmap as u32, 2, 0),
        jump(libc::BPF_JEQ, libc::SYS_mprotect as u32, 1, 0),
        jump(libc::BPF_JEQ, libc::SYS_pkey_mprotect as u32, 0, 2),
        load(PROTECTION),
        jump(libc::BPF_JSET, libc::PROT_EXEC as u32, 1, 0),
        give(libc::SECCOMP_RET_ALLOW),
        give(libc::SECCOMP_RET_ERRNO | libc::EACCES as u32),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives while it is installed; it forbids what this test is about.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0) == 0
    }
}

/// Whichever call of the system refuses: an error that says so each time, and the memory that was taken before is given
/// back.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn memory_that_was_refused_is_given_back() {
    in_a_process_of_its_own("memory_that_was_refused_is_given_back", &[], || {
        let graph = network();
        let works = Executable::compile(graph.clone(), &Options::default()).unwrap();
        if !refuse_executable_memory() {
            assert!(std::env::var_os("CI").is_none(), "the system filters no system calls, which this test needs");
            return eprintln!("skipped: the system filters no system calls");
        }
        let refused = || {
            let error = Executable::compile(graph.clone(), &Options::default()).expect_err("the system refuses");
            let is_typed = matches!(error, Error::Code(CodeError::NoExecutableMemory(_)));
            assert!(is_typed && error.to_string().starts_with("no executable memory"), "{error}");
        };
        (0..30).for_each(|_| refused());
        let before = common::process::memory();
        (0..300).for_each(|_| refused());
        // a kernel's code takes 4 KiB at least: as much for each of these networks would be 5 MiB
        for (after, before) in common::process::memory().into_iter().zip(before) {
            assert!(after < before + (4 << 20), "{before} bytes became {after}");
        }
        // what was compiled before goes on
        let inputs = common::some_inputs(&graph);
        assert!(call(&works, &graph, &inputs).is_ok());
    });
}

/// A host may flush denormals to zero and round down: compiled code does neither, on no thread, and constants are
/// folded as it would; then the host has its setting back.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_hosts_floating_point_environment_does_not_matter() {
    fn read() -> u32 {
        let mut setting = 0_u32;
        // SAFETY: stores the register to a local variable.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut setting, options(nostack, preserves_flags)) };
        setting
    }
    fn write(setting: u32) {
        // SAFETY: the settings have no reserved bits set.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &setting, options(nostack)) };
    }
    const FLUSH_AND_ROUND_DOWN: u32 = 0x1f80 | 0x8040 | 0x2000 | DIVIDED_BY_ZERO;
    /// A flag of what has happened.
    const DIVIDED_BY_ZERO: u32 = 0x04;
    let graph = network();
    let inputs = common::some_inputs(&graph);
    let want: Vec<Tensor> = bayeslift_ir::evaluate(&graph, &inputs).unwrap();
    for threads in [1, 3] {
        let options = Options::default().threads(threads).finest(true).rewriting(Rewriting::Exact);
        let usual = read();
        write(FLUSH_AND_ROUND_DOWN);
        let got = run(&graph, &inputs, &options);
        let after = read();
        write(usual);
        assert_eq!(after, FLUSH_AND_ROUND_DOWN, "the setting, and the flags that were raised before");
        got.unwrap().iter().zip(&want).for_each(|(got, want)| assert_eq!(same_bits(got, want), Ok(())));
    }
}

#[test]
fn code_for_other_machines_is_not_compiled() {
    let foreign: Vec<Target> = Target::all().filter(|target| !target.runs_here()).collect();
    assert!(!foreign.is_empty());
    for target in foreign {
        let options = Options::default().target(target);
        let refused = Executable::compile(network(), &options).unwrap_err();
        assert!(matches!(refused, Error::Code(CodeError::ForeignTarget { .. })), "{target}: {refused}");
        assert!(!options.lower(&network()).unwrap().functions.is_empty(), "{target}");
    }
}
