//! The verifier refuses what is not well-formed.

use bayeslift_codegen::{
    Target, lower,
    tile::{Class, Error, Inst, MAX_DEPTH, Reg, RegType, Stmt, TileKernel, interpret, verify, verify_for},
};
use bayeslift_ir::arbitrary::{config, graph_and_inputs};
use bayeslift_passes::Plan;
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

const SAMPLE: &str = "tiles r0..r1, 2 arguments, 64 scratch bytes
  r2 = 16
  r3* = 0.0
  r4 = 0x7
  for r5 in r0..r1 step 1, r6 = r3 then r11
    r7 = index_scale r5 by 16
    r8* = load float argument0[r7 + 4] first 3
    r9* = less r8 r6
    r10* = select r9 r8 r6
    r11* = fma r10 r8 r6
    scratch[r7] = r11
    prefetch argument1[r7]
  argument1[r2] first 3 = r6
";

/// The error for `SAMPLE` with a line that is replaced: the line it names, and what it says.
#[track_caller]
fn check(line: &str, replacement: &str, number: usize, message: &str) {
    assert!(SAMPLE.contains(line), "{line}");
    let error = SAMPLE.replace(line, replacement).parse::<TileKernel>().unwrap_err();
    match &error {
        Error::Malformed { line, message: found, .. } => {
            assert_eq!((*line, found.as_str()), (number, message), "{error}")
        }
        error => panic!("{error}"),
    }
}

#[test]
fn what_is_well_formed_is_accepted() {
    let kernel: TileKernel = SAMPLE.parse().unwrap();
    assert_eq!(kernel.to_string(), SAMPLE);
    assert_eq!(verify_for(&kernel, 4), Ok(()));
}

#[test]
fn operands_have_the_classes_of_their_operations() {
    let int = "a scalar of class int";
    let (vector, scalar) = ("a vector of class float", "a scalar of class float");
    check("fma r10 r8 r6", "fma r10 r4 r6", 10, &format!("r4 is {int}, expected {vector}"));
    check("less r8 r6", "less r8 r4", 8, &format!("r4 is {int}, expected {vector}"));
    check("r9* = less", "r9 = less", 8, &format!("r8 is {vector}, expected {scalar}"));
    check("select r9 r8 r6", "select r8 r8 r6", 9, &format!("r8 is {vector}, expected a vector of class mask"));
    check("index_scale r5 by 16", "index_scale r4 by 16", 6, &format!("r4 is {int}, expected a scalar of class index"));
    check("scratch[r7]", "scratch[r4]", 11, &format!("r4 is {int}, expected a scalar of class index"));
    check("r0..r1 step", "r0..r4 step", 5, &format!("r4 is {int}, expected a scalar of class index"));
    check("then r11", "then r4", 5, &format!("r4 is {int}, expected {vector}"));
    check("= r11", "= r9", 11, "memory holds floats, doubles and integers, no mask");
    check("load float", "load index", 7, "memory holds floats, doubles and integers, no index");
    check("r2 = 16", "r2* = 16", 2, "r2 is a vector of class index, but defined as a scalar of class index");
    check("r10* = select r9 r8 r6", "r10* = splat r8", 9, &format!("r8 is {vector}, expected {scalar}"));
}

#[test]
fn doubles_are_no_floats() {
    let (double, float) = ("a scalar of class double", "a scalar of class float");
    let int = format!("r4 is a scalar of class int, expected {float}");
    check("r4 = 0x7", "r4 = 0x7\n  r40 = widen r4", 5, &int);
    let refused = format!("r4 is {double}, expected {float}");
    check("r4 = 0x7", "r4 = double 1.0\n  r40 = fma r4 r4 r4", 5, &refused);
    let mixed = format!("r5 is {float}, expected {double}");
    check("r4 = 0x7", "r4 = double 1.0\n  r40 = 1.0\n  r41 = add r4 r40", 6, &mixed);
    let scalar = format!("r4 is {double}, expected a vector of class double");
    check("r4 = 0x7", "r4 = double 1.0\n  r40* = narrow r4", 5, &scalar);
    let four = "r40*, r41*, r42*, r43* = load transposed double argument0[r2] stride 4";
    check("r4 = 0x7", &format!("r4 = 0x7\n  {four}"), 5, "four neighbours at once are no doubles");
}

#[test]
fn attributes_are_in_their_ranges() {
    check("argument0", "argument2", 7, "argument 2 of 2, counted from 0");
    check("r4 = 0x7", "r4 = load int argument0[r2] first 1", 4, "a part of what is no vector");
    check("step 1", "step 0", 5, "the step 0 is not positive");
    check("step 1", "step -3", 5, "the step -3 is not positive");
    check("index_scale r5 by 16", "index_div r5 by 0", 6, "the divisor 0 is not positive");
    check("index_scale r5 by 16", "index_rem r5 by -1", 6, "the divisor -1 is not positive");
    check("[r7 + 4] first 3", "[r7 + 4] first 0", 7, "a part of no lanes");
    check("[r7 + 4]", "[r7 + -9223372036854775808]", 7, "the offset -9223372036854775808 is too large");
    check("[r7 + 4]", "[r7] stride 9223372036854775807", 7, "the stride 9223372036854775807 is too large");
    let shift = "32 bits, expected less than 32, and of a rotation at least 1";
    check("r4 = 0x7", "r4 = 0x7\n  r40 = shift_left r4 by 32", 5, shift);
    check("r4 = 0x7", "r4 = 0x7\n  r40 = rotate_left r4 by 0", 5, &shift.replace("32 bits", "0 bits"));
    check("64 scratch", "63 scratch", 1, "63 scratch bytes, expected a multiple of 4, at most 1099511627776");
    check("2 arguments", "2000000 arguments", 1, "2000000 arguments, at most 1048576 are possible");
}

#[test]
fn what_a_loop_defines_ends_with_it() {
    check("first 3 = r6", "first 3 = r8", 13, "r8 is defined in a loop that is over");
    check("argument1[r2]", "argument1[r5]", 13, "r5 is defined in a loop that is over");
}

#[test]
fn parts_and_halves_need_their_lanes() {
    let kernel: TileKernel = SAMPLE.parse().unwrap();
    let refused = |kernel: &TileKernel, lanes| match verify_for(kernel, lanes).unwrap_err() {
        Error::Malformed { line, message, .. } => (line, message),
        error => panic!("{error}"),
    };
    assert_eq!(refused(&kernel, 2), (7, "the first 3 of 2 lanes".into()));
    let halves = SAMPLE.replace("less r8 r6", "less r8 r6\n    r20* = upper_halves r8 r6");
    let kernel: TileKernel = halves.parse().unwrap();
    assert_eq!(verify_for(&kernel, 8), Ok(()));
    assert_eq!(refused(&kernel, 4), (9, "halves of vectors of less than eight lanes".into()));
}

/// Faults that no text can have.
#[test]
fn registers_that_do_not_exist() {
    let sample: TileKernel = SAMPLE.parse().unwrap();
    let broken = |change: fn(&mut TileKernel)| {
        let mut kernel = sample.clone();
        change(&mut kernel);
        let error = verify(&kernel).unwrap_err();
        assert_eq!(interpret(&kernel, 4, &mut [vec![0; 64], vec![0; 64]], 0..1, 10), Err(error.clone()));
        // what is malformed can be shown
        assert!(!kernel.to_string().is_empty());
        error.to_string()
    };
    let one = "malformed tile code: line 1, `tiles r0..r0, 2 arguments, 64 scratch bytes`: r0 is defined twice";
    assert_eq!(broken(|kernel| kernel.end = Reg(0)), one);
    let none = "malformed tile code: line 2, `r99 = 16`: r99 has no type";
    assert_eq!(broken(|kernel| kernel.body[0] = Stmt::Let(Reg(99), Inst::Index(16))), none);
    let again = "malformed tile code: line 3, `r2 = 1`: r2 is defined twice";
    assert_eq!(broken(|kernel| kernel.body[1] = Stmt::Let(Reg(2), Inst::Index(1))), again);
    let itself = "malformed tile code: line 4, `r4 = int_add r4 r4`: r4 is not defined above";
    assert_eq!(
        broken(|kernel| {
            let sum = Inst::IntBinary(bayeslift_codegen::tile::IntBinary::Add, Reg(4), Reg(4));
            kernel.body[2] = Stmt::Let(Reg(4), sum);
        }),
        itself
    );
    let other =
        "malformed tile code: line 2, `r2 = 16`: r2 is a scalar of class int, but defined as a scalar of class index";
    assert_eq!(broken(|kernel| kernel.regs[2] = RegType { class: Class::Int, vector: false }), other);
}

#[test]
fn loops_are_nested_so_deep_and_no_deeper() {
    let nest = |depth: usize| {
        let loops = (0..depth).map(|i| format!("{:2$}for r{} in r0..r1 step 1\n", "", i + 2, 2 * i + 2));
        format!("tiles r0..r1, 0 arguments, 0 scratch bytes\n{}", loops.collect::<String>()).parse::<TileKernel>()
    };
    assert!(nest(MAX_DEPTH).is_ok());
    let message = "line 66: more than 64 loops, each in the other";
    assert_eq!(nest(MAX_DEPTH + 1).unwrap_err().to_string(), message);
    let mut kernel = nest(MAX_DEPTH).unwrap();
    let (start, end) = (kernel.begin, kernel.end);
    kernel.regs.push(RegType { class: Class::Index, vector: false });
    let counter = Reg(kernel.regs.len() as u32 - 1);
    let body = std::mem::take(&mut kernel.body);
    kernel.body = vec![Stmt::Loop { counter, start, end, step: 1, carried: Vec::new(), body }];
    assert!(verify(&kernel).unwrap_err().to_string().ends_with(message.split_once(": ").unwrap().1));
}

/// All statements, each with the list that it is in.
fn visit(stmts: &mut Vec<Stmt>, f: &mut impl FnMut(&mut Vec<Stmt>, usize)) {
    for i in (0..stmts.len()).rev() {
        if let Stmt::Loop { body, .. } = &mut stmts[i] {
            visit(body, f);
        }
        f(stmts, i);
    }
}

/// How a well-formed kernel is broken.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A definition that is read goes.
    Drop,
    /// It comes twice.
    Repeat,
    /// A register gets another class.
    Class,
    /// It becomes a vector, or a scalar.
    Vector,
}

/// Whether there was anything to damage.
fn damage(kernel: &mut TileKernel, damage: Damage, which: Index) -> bool {
    // what an operation reads and another defines: stores take scalars and vectors
    let mut read = vec![false; kernel.regs.len()];
    let mut definitions = Vec::new();
    visit(&mut kernel.body, &mut |stmts, i| {
        if let Stmt::Let(_, inst) = stmts[i] {
            inst.operands(|reg| read[reg.0 as usize] = true);
        }
    });
    visit(&mut kernel.body, &mut |stmts, i| {
        if let Stmt::Let(reg, _) = stmts[i] {
            definitions.extend(read[reg.0 as usize].then_some(reg));
        }
    });
    if definitions.is_empty() {
        return false;
    }
    let reg = *which.get(&definitions);
    let ty = &mut kernel.regs[reg.0 as usize];
    match damage {
        Damage::Class => ty.class = if ty.class == Class::Mask { Class::Int } else { Class::Mask },
        Damage::Vector => ty.vector = !ty.vector,
        Damage::Drop | Damage::Repeat => visit(&mut kernel.body, &mut |stmts, i| match stmts[i] {
            Stmt::Let(at, _) if at != reg => {}
            Stmt::Let(..) if matches!(damage, Damage::Drop) => drop(stmts.remove(i)),
            Stmt::Let(..) => stmts.insert(i, stmts[i].clone()),
            _ => {}
        }),
    }
    true
}

#[test]
fn lowered_kernels_that_are_damaged() {
    let damages = prop::sample::select(&[Damage::Drop, Damage::Repeat, Damage::Class, Damage::Vector][..]);
    let targets = prop::sample::select(Target::all().collect::<Vec<_>>());
    let case = (graph_and_inputs(), targets, damages, any::<[Index; 2]>());
    let run = |((graph, _), target, how, [kernel, which]): (_, Target, Damage, [Index; 2])| {
        let plan = Plan::new(graph).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assume!(!plan.kernels.is_empty());
        let stages = lower(&plan, kernel.get(&plan.kernels), target, 1);
        let sound = &stages.last().expect("the kernel itself").code;
        prop_assert_eq!(verify_for(sound, target.lanes()), Ok(()));
        let mut damaged = sound.clone();
        prop_assume!(damage(&mut damaged, how, which));
        let is_refused = matches!(verify(&damaged), Err(Error::Malformed { .. }));
        prop_assert!(is_refused, "{:?} is not seen in\n{}", how, damaged);
        Ok(())
    };
    TestRunner::new(config(if cfg!(debug_assertions) { 200 } else { 2000 })).run(&case, run).unwrap();
}
