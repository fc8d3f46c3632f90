//! Plans of random graphs are right by `Plan::verify`, and none is that was damaged.

use bayeslift_ir::{
    Builder, Expr, Type, Value,
    arbitrary::{config, graph_and_inputs},
};
use bayeslift_passes::{KernelKind, Place, Plan, Read, View};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn plans_of_random_graphs_are_right((graph, _) in graph_and_inputs()) {
        let plan = Plan::new(graph).unwrap();
        prop_assert_eq!(plan.verify(), Ok(()), "{}\n{}", plan, plan.graph);
    }
}

/// Makes a plan wrong, at a place chosen modulo what there is; `None` where it cannot.
type Damage = fn(&mut Plan, usize) -> Option<()>;

const DAMAGES: &[(&str, Damage)] = &[
    ("a value is made after it is read", |plan, choice| {
        let reader = choice % plan.kernels.len().max(1);
        let mut read = plan.kernels.get(reader)?.reads.iter().flat_map(Read::views);
        let maker = read.find_map(|view| maker(plan, view.source))?;
        plan.kernels.swap(maker, reader);
        Some(())
    }),
    ("a kernel is missing", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        plan.kernels.get(number)?;
        plan.kernels.remove(number);
        Some(())
    }),
    ("a kernel is there twice", |plan, choice| {
        let kernel = pick(&plan.kernels, choice)?.clone();
        plan.kernels.push(kernel);
        Some(())
    }),
    ("a value is in the body of another kernel", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        let next = (number + 1) % plan.kernels.len().max(1);
        let value = plan.kernels.get_mut(number).filter(|_| next != number)?.body.pop_last()?;
        plan.kernels[next].body.insert(value);
        Some(())
    }),
    ("a read is missing", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        plan.kernels.get_mut(number)?.reads.pop().map(drop)
    }),
    ("a read is of another value", |plan, choice| {
        let inputs: Vec<Value> = plan.graph.inputs().iter().map(|input| input.value).collect();
        let view = element_view(plan, choice).filter(|view| inputs.contains(&view.source))?;
        view.source = inputs.into_iter().find(|input| *input != view.source)?;
        Some(())
    }),
    ("a read begins beyond its value", |plan, choice| {
        let view = element_view(plan, choice)?;
        view.start += view.shape.elements().max(1 << 20) as i64;
        Some(())
    }),
    ("a read begins before its value", |plan, choice| {
        element_view(plan, choice)?.start -= 1 << 20;
        Some(())
    }),
    ("the index space is another", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        plan.kernels.get_mut(number)?.rows += 1;
        Some(())
    }),
    ("the kind is another", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        let kernel = plan.kernels.get_mut(number)?;
        kernel.kind = match kernel.kind.clone() {
            KernelKind::Products(values) => KernelKind::Rows(values),
            KernelKind::Rows(values) => match values.first() {
                Some(&value) => KernelKind::Column(value),
                None => KernelKind::Products(Vec::new()),
            },
            KernelKind::Column(value) => KernelKind::Fold(value),
            KernelKind::Fold(value) => KernelKind::Indexed(value),
            KernelKind::Indexed(value) => KernelKind::Column(value),
            KernelKind::Copy(_) => KernelKind::Rows(Vec::new()),
        };
        Some(())
    }),
    ("a write is missing", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        plan.kernels.get_mut(number)?.writes.pop().map(drop)
    }),
    ("a write goes elsewhere", |plan, choice| {
        let number = choice % plan.kernels.len().max(1);
        let write = plan.kernels.get_mut(number)?.writes.first_mut()?;
        write.place = if let Place::Arena(offset) = write.place { Place::Arena(offset + 64) } else { Place::Arena(0) };
        Some(())
    }),
    ("an input that is not donated is overwritten", |plan, choice| {
        let input = (0..plan.graph.inputs().len()).find(|&i| !plan.graph.is_donated(i))?;
        let value = arena_value(plan, choice)?;
        relocate(plan, value, Place::Input(input))
    }),
    ("a place is not aligned", |plan, choice| {
        let value = arena_value(plan, choice)?;
        let Some(Place::Arena(offset)) = plan.places[value.index()] else { return None };
        relocate(plan, value, Place::Arena(offset + 4))
    }),
    ("a place is that of a value that is still needed", |plan, choice| {
        let value = arena_value(plan, choice)?;
        let read = sources(&plan.kernels[maker(plan, value)?].reads);
        let other = read.into_iter().find(|read| matches!(plan.places[read.index()], Some(Place::Arena(_))))?;
        relocate(plan, value, plan.places[other.index()]?)
    }),
    ("the arena is too small", |plan, _| {
        plan.arena_bytes = plan.arena_bytes.checked_sub(64)?;
        Some(())
    }),
    ("the arena is no whole number of lines", |plan, choice| {
        arena_value(plan, choice)?;
        plan.arena_bytes += 4;
        Some(())
    }),
];

fn pick<T>(of: &[T], choice: usize) -> Option<&T> {
    of.get(choice % of.len().max(1))
}

fn maker(plan: &Plan, value: Value) -> Option<usize> {
    plan.kernels.iter().position(|kernel| kernel.values().any(|computed| computed == value))
}

fn sources(reads: &[Read]) -> Vec<Value> {
    reads.iter().flat_map(Read::views).map(|view| view.source).collect()
}

/// How elements of some kernel read some value in memory.
fn element_view(plan: &mut Plan, choice: usize) -> Option<&mut View> {
    let reads = plan.kernels.iter_mut().flat_map(|kernel| &mut kernel.reads);
    let views = reads.filter_map(|read| if let Read::Element { view, .. } = read { Some(view) } else { None });
    let mut views: Vec<&mut View> = views.filter(|view| plan.places[view.source.index()].is_some()).collect();
    let number = choice % views.len().max(1);
    (number < views.len()).then(|| views.swap_remove(number))
}

fn arena_value(plan: &Plan, choice: usize) -> Option<Value> {
    let in_arena = |value: &Value| matches!(plan.places[value.index()], Some(Place::Arena(_)));
    let values: Vec<Value> = plan.graph.values().filter(in_arena).collect();
    pick(&values, choice).copied()
}

fn relocate(plan: &mut Plan, value: Value, place: Place) -> Option<()> {
    plan.places[value.index()] = Some(place);
    let writes = plan.kernels.iter_mut().flat_map(|kernel| &mut kernel.writes);
    writes.filter(|write| write.value == value).for_each(|write| write.place = place);
    Some(())
}

#[test]
fn damage_is_found() {
    let mut runner = TestRunner::deterministic();
    let mut done = vec![0; DAMAGES.len()];
    for choice in 0..400 {
        let (graph, _) = graph_and_inputs().new_tree(&mut runner).unwrap().current();
        let plan = Plan::new(graph).unwrap();
        for ((what, damage), done) in DAMAGES.iter().zip(&mut done) {
            let mut damaged = plan.clone();
            if damage(&mut damaged, choice).is_some() {
                *done += 1;
                assert!(damaged.verify().is_err(), "{what}:\n{damaged}\nwas\n{plan}\nof\n{}", plan.graph);
            }
        }
    }
    for ((what, _), done) in DAMAGES.iter().zip(done) {
        assert!(done >= 10, "{what}: {done} times");
    }
}

/// Of values so large that memory is used again.
#[test]
fn values_share_memory_that_they_do_not_need_at_one_time() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([64, 1024]));
    fn layer(h: Expr<'_>) -> Expr<'_> {
        (h + h.sum(0).broadcast(&h.shape())).tanh()
    }
    let early = layer(layer(x));
    let late = (0..6).fold(early, |h, _| layer(h));
    b.output("y", late + early);
    let plan = Plan::new(b.finish().unwrap()).unwrap();
    assert_eq!(plan.verify(), Ok(()), "{plan}");
    // two of them and the early one, with sums
    assert!(plan.arena_bytes < 4 * 64 * 1024 * 4, "{plan}");
}

/// A plan of two outputs, and of one that updates an input, read by its writer as `read` says.
fn updating(read: for<'b> fn(Expr<'b>) -> Expr<'b>) -> Plan {
    let b = Builder::new();
    let ty = Type::f32([4, 4]);
    let (w, x) = (b.input("w", ty.clone()), b.input("x", ty));
    b.output("read", w.sum(0));
    b.output("new", (x * 2.0).exp());
    b.output_updating("w", (read(w) + x).exp(), w);
    Plan::new(b.finish().unwrap()).unwrap()
}

/// What donated inputs forbid, each broken by hand.
#[test]
fn donated_inputs_are_overwritten_when_nobody_needs_them() {
    let plan = updating(|w| w);
    let rule = |plan: &Plan| plan.verify().map_err(|defect| defect.rule);
    let writer =
        |plan: &Plan| plan.kernels.iter().position(|kernel| kernel.writes[0].place == Place::Input(0)).unwrap();
    assert_eq!(rule(&plan), Ok(()));

    let mut early = plan.clone();
    early.kernels[..=writer(&plan)].rotate_right(1);
    assert_eq!(rule(&early), Err("a value is overwritten after it is read"), "{early}");

    let mut turned = updating(|w| w.transpose(&[1, 0]));
    let copy = turned.kernels.pop().unwrap();
    let KernelKind::Copy(new) = copy.kind else { panic!("{copy:?}") };
    relocate(&mut turned, new, copy.writes[0].place).unwrap();
    assert_eq!(rule(&turned), Err("what a kernel overwrites it reads by the element"), "{turned}");

    let mut twice = plan.clone();
    let (new, w) = (plan.graph.outputs()[1].value, plan.graph.outputs()[2].value);
    relocate(&mut twice, w, plan.places[new.index()].unwrap()).unwrap();
    assert_eq!(rule(&twice), Err("outputs are written once"), "{twice}");
}
