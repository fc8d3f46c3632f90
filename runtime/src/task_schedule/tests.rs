//! Schedules keep the order that memory demands, and are what an ideal machine would do.

use super::*;
use crate::dependencies::{Addresses, Parts};
use bayeslift_codegen::{KernelArgument, Program, Target};
use bayeslift_ir::{
    Builder, DType, Graph, Noise, NoiseAddress, NoiseDistribution, Type,
    arbitrary::{config, graph_and_inputs},
};
use bayeslift_passes::{Access, Place, Plan, gradients};
use proptest::prelude::*;

/// Where a stage reads or writes, and whether it writes, found from the pointers that it is called with.
fn touches(table: &KernelTable, stage: usize) -> Vec<(Place, usize, bool)> {
    let work = &table.kernels[table.stages[stage].kernel].work;
    let places = table.stages[stage].arguments.iter().filter_map(|argument| match argument {
        KernelArgument::Place(place) => Some(*place),
        _ => None,
    });
    let touch = |place: Place| {
        let at = |accesses: &[Access]| {
            accesses.iter().filter(|access| access.place == place).map(|access| access.bytes as usize).max()
        };
        let (read, written) = (at(&work.reads), at(&work.writes));
        (place, read.max(written).expect("what is pointed to is read or written"), written.is_some())
    };
    places.map(touch).collect()
}

fn overlap(a: (Place, usize), b: (Place, usize)) -> bool {
    match (a.0, b.0) {
        (Place::Arena(x), Place::Arena(y)) => x < y + b.1 && y < x + a.1,
        (x, y) => x == y,
    }
}

/// A step that trains a network whose layers draw their weights. Memory of such weights and of outputs is used again
/// where all is too much to be kept.
fn network(rows: usize, widths: &[usize]) -> Graph {
    let b = Builder::new();
    let address = NoiseAddress {
        key: b.input("key", Type::u32([4])),
        first_sample: b.input("first sample", Type::u32([])),
        first_row: b.input("first row", Type::u32([2])),
    };
    let mut x = b.input("x", Type::f32([rows, widths[0]]));
    let mut parameters = Vec::new();
    for (layer, sizes) in widths.windows(2).enumerate() {
        let ty = Type::f32([sizes[0], sizes[1]]);
        let [loc, scale] = ["loc", "scale"].map(|name| b.input(&format!("{name} {layer}"), ty.clone()));
        let noise = Noise {
            distribution: NoiseDistribution::Normal,
            dtype: DType::F32,
            stream: layer as u64,
            sample_axis: None,
            example_axis: None,
            shape: ty.shape,
        };
        x = x.dot(loc + scale.softplus() * b.noise(noise, address)).relu();
        parameters.extend([loc, scale]);
    }
    let loss = -(x.log_softmax() * x.stop_gradient()).mean_all();
    for (i, gradient) in gradients(loss, &parameters).into_iter().enumerate() {
        b.output_updating(&format!("update {i}"), parameters[i] - gradient * 0.1, parameters[i]);
    }
    b.output("loss", loss);
    b.finish().unwrap()
}

proptest! {
    #![proptest_config(config(200))]
    #[test]
    fn schedules_are_sound((graph, _) in graph_and_inputs(), threads in 1..9_usize, finest: bool) {
        check(graph, threads, finest)?;
    }
}

proptest! {
    #![proptest_config(config(60))]
    #[test]
    fn schedules_of_networks_are_sound(
        rows in 1..1200_usize,
        widths in proptest::collection::vec(1..130_usize, 2..6),
        threads in 2..9_usize,
        finest: bool,
    ) {
        check(network(rows, &widths), threads, finest)?;
    }
}

/// Networks of which parts of a layer overwrite, some parts on, what the layer before reads.
#[test]
fn schedules_of_networks_that_use_memory_again_are_sound() {
    for (rows, widths) in [
        (512, &[784, 400, 128, 64, 32, 10][..]),
        (1024, &[784, 400, 100, 100, 100, 10]),
        (1024, &[784, 256, 128, 128, 64, 10]),
    ] {
        for threads in [2, 4] {
            check(network(rows, widths), threads, false).unwrap();
        }
    }
}

/// Some task is a band of rows of several kernels.
#[test]
fn kernels_are_joined_by_rows() {
    let table = table(network(100, &[16, 16, 10]), 2);
    let groups = Former::new(&table, SMALL * table.target.machine().handover).groups(2);
    assert!(groups.iter().any(|group| group.parts() > 1 && group.stages.len() > 2), "{groups:#?}");
}

/// Of 128-bit vectors.
fn table(graph: Graph, threads: usize) -> KernelTable {
    let plan = Plan::new(graph).unwrap();
    Program::lower(&plan, &[], Target::host().with_lanes(4), threads).table
}

/// The path is a chain of tasks that wait for each other, no chain is longer, and no call takes less than it.
fn check_critical_path(schedule: &TaskSchedule, claim: u64) -> Result<(), TestCaseError> {
    let path = schedule.critical_path(claim);
    let cost = |g: usize| claim + schedule.groups[g].cost / schedule.groups[g].parts() as u64;
    prop_assert_eq!(path.cost, path.groups.iter().map(|&g| cost(g)).sum::<u64>());
    prop_assert!(path.cost <= schedule.costs[1], "{} of {}", path.cost, schedule.costs[1]);
    for pair in path.groups.windows(2) {
        prop_assert!(schedule.groups[pair[1]].waits_for().contains(&pair[0]), "{pair:?} are no chain");
    }
    // chains that take, from each task, the first or the last of those that it waits for
    for (g, part, takes_last) in (0..schedule.groups.len()).flat_map(|g| {
        (0..schedule.groups[g].parts()).flat_map(move |part| [false, true].map(|takes_last| (g, part, takes_last)))
    }) {
        let before = |&(g, part): &(usize, usize)| {
            let waits = &schedule.groups[g].waits[part];
            let wait = if takes_last { waits.last() } else { waits.first() };
            wait.map(|parts| (parts.work, parts.mask.trailing_zeros() as usize))
        };
        let chain = std::iter::successors(Some((g, part)), before);
        prop_assert!(chain.map(|(g, _)| cost(g)).sum::<u64>() <= path.cost, "a chain from {g}, {part} is longer");
    }
    Ok(())
}

/// Every tile is in one task; what a task waits for is before it; tasks that touch the same memory wait for each other.
fn check(graph: Graph, threads: usize, finest: bool) -> Result<(), TestCaseError> {
    let table = table(graph, threads);
    let schedule = TaskSchedule::new(&table, threads, finest);
    let mut begun = vec![0; schedule.groups.len()];
    for &number in &schedule.tasks {
        for &Parts { work: wait, mask: parts } in schedule.groups[number].waits.iter().flatten() {
            prop_assert_eq!(begun[wait], schedule.groups[wait].parts(), "all of the group is claimed before");
            prop_assert!(parts.ilog2() < begun[wait] as u32, "there are such parts");
        }
        begun[number] += 1;
    }
    prop_assert_eq!(begun, schedule.groups.iter().map(Group::parts).collect::<Vec<_>>());
    if schedule.threads == 1 {
        return Ok(());
    }
    check_critical_path(&schedule, table.target.machine().handover)?;
    let mut tiles = vec![Vec::new(); table.stages.len()];
    // for each part all that is over when it begins
    let mut before: Vec<Vec<Vec<u64>>> = Vec::new();
    for group in &schedule.groups {
        let of_part = |waits: &Vec<Parts>| {
            let mut over = vec![0; schedule.groups.len()];
            for &Parts { work: wait, mask: parts } in waits {
                over[wait] |= parts;
                for part in (0..64).filter(|part| parts >> part & 1 == 1) {
                    over.iter_mut().zip(&before[wait][part]).for_each(|(over, more)| *over |= more);
                }
            }
            over
        };
        let over: Vec<Vec<u64>> = group.waits.iter().map(of_part).collect();
        before.push(over);
        for (i, &stage) in group.stages.iter().enumerate() {
            (0..group.parts()).for_each(|part| tiles[stage].extend(group.tiles(i, part)));
        }
    }
    for (stage, tiles) in tiles.iter().enumerate() {
        prop_assert_eq!(tiles, &(0..table.stages[stage].tiles).collect::<Vec<_>>());
    }
    let touched: Vec<_> = (0..tiles.len()).map(|stage| touches(&table, stage)).collect();
    let addresses = Addresses::new(&table);
    let precise: Vec<_> = table.stages.iter().map(|stage| addresses.touches(stage)).collect();
    for (late, early) in (0..tiles.len()).flat_map(|late| (0..late).map(move |early| (late, early))) {
        let conflict = touched[late].iter().any(|&(a, x, writes)| {
            touched[early].iter().any(|&(b, y, written)| (writes || written) && overlap((a, x), (b, y)))
        });
        if !conflict {
            continue;
        }
        let [(last, i), (first, j)] = [late, early].map(|stage| schedule.group_of[stage]);
        let pairs = || precise[late].iter().flat_map(|a| precise[early].iter().map(move |b| (a, b)));
        for (p, q) in (0..schedule.parts(late)).flat_map(|p| (0..schedule.parts(early)).map(move |q| (p, q))) {
            let is_over = before[last][p][first] >> q & 1 == 1;
            let is_next = (last, p) == (first, q) && i > j;
            let [here, there] = [schedule.groups[last].tiles(i, p), schedule.groups[first].tiles(j, q)];
            let is_apart = pairs().all(|(a, b)| !a.of(here.clone()).conflicts(&b.of(there.clone())));
            prop_assert!(is_over || is_next || is_apart, "stage {late} does not wait for {early}, part {p} for {q}");
        }
    }
    Ok(())
}

/// Threads that have nothing to do may not begin before what they wait for is over.
#[test]
fn idle_threads_do_not_go_back_in_time() {
    let group = |waits: Vec<Parts>, parts: usize| Group {
        stages: vec![0],
        cuts: vec![(0..=parts).collect()],
        waits: vec![waits; parts],
        cost: 100 * parts as u64,
    };
    let groups = [group(vec![], 1), group(vec![Parts { work: 0, mask: 1 }], 2)];
    assert_eq!(List::new(&groups, 3, 70).end, 200 + 2 * 70);
}
