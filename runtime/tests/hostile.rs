//! Graphs that verify but that nobody would write: planned, compiled and run like any other.

mod common;

use bayeslift_ir::{Binary, Builder, Expr, Graph, Op, Shape, Type, Unary, Value, Window};
use bayeslift_passes::{Place, Plan};
use common::check_everywhere;

fn shape(extents: &[usize]) -> Shape {
    Shape::new(extents)
}

/// A reshape of a repeated value has strides as long as the value has no memory of its own.
#[test]
fn an_output_that_others_see_through_views() {
    let mut g = Graph::new();
    let scalar = g.push(Op::Constant(1.5_f32.to_bits()), &[]).unwrap();
    let repeated = g.push(Op::Broadcast(shape(&[4, 3])), &[scalar]).unwrap();
    let turned = g.push(Op::Transpose([1, 0].into_iter().collect()), &[repeated]).unwrap();
    let flat = g.push(Op::Reshape(shape(&[12])), &[turned]).unwrap();
    let computed = g.push(Op::Unary(Unary::Exp), &[flat]).unwrap();
    g.output("computed", computed).unwrap();
    g.output("repeated", repeated).unwrap();
    check_everywhere(&g);
}

/// As above, where what gives the value memory is another view of it, that strides cannot express.
#[test]
fn two_views_of_a_repeated_value() {
    let mut g = Graph::new();
    let row = g.input("row", Type::f32([3])).unwrap();
    let repeated = g.push(Op::Broadcast(shape(&[4, 5, 3])), &[row]).unwrap();
    let turned = g.push(Op::Transpose([1, 0, 2].into_iter().collect()), &[repeated]).unwrap();
    let first = g.push(Op::Reshape(shape(&[20, 3])), &[turned]).unwrap();
    let second = g.push(Op::Reshape(shape(&[60])), &[repeated]).unwrap();
    for (name, value) in [("first", first), ("second", second)] {
        let computed = g.push(Op::Unary(Unary::Neg), &[value]).unwrap();
        g.output(name, computed).unwrap();
    }
    check_everywhere(&g);
}

/// As above, where what reads the repeated value is itself a copy.
#[test]
fn a_copy_of_a_view_of_an_output() {
    let mut g = Graph::new();
    let row = g.input("row", Type::f32([3])).unwrap();
    let repeated = g.push(Op::Broadcast(shape(&[4, 5, 3])), &[row]).unwrap();
    let turned = g.push(Op::Transpose([1, 0, 2].into_iter().collect()), &[repeated]).unwrap();
    let joined = g.push(Op::Reshape(shape(&[20, 3])), &[turned]).unwrap();
    let copied = g.push(Op::Transpose([1, 0].into_iter().collect()), &[joined]).unwrap();
    let flat = g.push(Op::Reshape(shape(&[60])), &[copied]).unwrap();
    let computed = g.push(Op::Unary(Unary::Neg), &[flat]).unwrap();
    g.output("computed", computed).unwrap();
    g.output("repeated", repeated).unwrap();
    check_everywhere(&g);
}

/// Computed while it is packed for one contraction, stored for another.
#[test]
fn a_cheap_operand_that_one_contraction_cannot_compute() {
    let mut g = Graph::new();
    let column = g.input("column", Type::f32([6, 1])).unwrap();
    let repeated = g.push(Op::Broadcast(shape(&[6, 4])), &[column]).unwrap();
    let cheap = g.push(Op::Binary(Binary::Mul), &[repeated, repeated]).unwrap();
    let turned = g.push(Op::Transpose([1, 0].into_iter().collect()), &[cheap]).unwrap();
    let product = g.push(Op::Dot, &[cheap, turned]).unwrap();
    let flat = g.push(Op::Reshape(shape(&[3, 8])), &[turned]).unwrap();
    let wide = g.push(Op::Reshape(shape(&[8, 3])), &[cheap]).unwrap();
    let other = g.push(Op::Dot, &[flat, wide]).unwrap();
    g.output("product", product).unwrap();
    g.output("other", other).unwrap();
    check_everywhere(&g);
}

/// Strides express each operand of the sum behind its views, though they could not express the sum itself.
#[test]
fn a_cheap_operand_that_only_its_operands_can_be_viewed_through() {
    let mut g = Graph::new();
    let x = g.input("x", Type::f32([8, 1])).unwrap();
    let [small, large] = [0.5_f32, 2.0].map(|x| g.push(Op::Constant(x.to_bits()), &[]).unwrap());
    let [small, large] = [small, large].map(|x| g.push(Op::Broadcast(shape(&[8, 4, 2])), &[x]).unwrap());
    let sum = g.push(Op::Binary(Binary::Add), &[small, large]).unwrap();
    let turned = g.push(Op::Transpose([0, 2, 1].into_iter().collect()), &[sum]).unwrap();
    let flat = g.push(Op::Reshape(shape(&[8, 8])), &[turned]).unwrap();
    let product = g.push(Op::Dot, &[flat, x]).unwrap();
    g.output("product", product).unwrap();
    check_everywhere(&g);
}

/// Recursion over views would end the process.
#[test]
fn a_long_chain_of_views() {
    let mut g = Graph::new();
    let x = g.input("x", Type::f32([3])).unwrap();
    let mut y = x;
    for _ in 0..30_000 {
        y = g.push(Op::Broadcast(shape(&[1, 3])), &[y]).unwrap();
        y = g.push(Op::Reshape(shape(&[3])), &[y]).unwrap();
    }
    let product = g.push(Op::Binary(Binary::Mul), &[x, y]).unwrap();
    g.output("product", product).unwrap();
    check_everywhere(&g);
}

/// A chain of as many elementwise operations as one kernel takes, in a thread with a small stack.
#[test]
fn a_deep_kernel_on_a_small_stack() {
    let b = bayeslift_ir::Builder::new();
    let x = b.input("x", Type::f32([7]));
    let y = b.input("y", Type::f32([7]));
    b.output("sum", (0..2000).fold(x, |sum: Expr, _| sum + y));
    let graph = b.finish().unwrap();
    let small = std::thread::Builder::new().stack_size(1 << 20);
    small.spawn(move || check_everywhere(&graph)).unwrap().join().unwrap();
}

/// Every link of the chain is reduced over its rows too, by the kernel that computes it.
#[test]
fn many_reductions_of_one_row() {
    let b = bayeslift_ir::Builder::new();
    let (x, y) = (b.input("x", Type::f32([3, 5])), b.input("y", Type::f32([3, 5])));
    let mut sum = x;
    for i in 0..800 {
        sum = sum + y;
        b.output(&format!("sum {i}"), sum.sum(1));
        b.output(&format!("max {i}"), sum.reduce_max(1));
    }
    check_everywhere(&b.finish().unwrap());
}

/// Outputs of donated inputs: old and new values, views of both, exchanged, twice the same.
#[test]
fn donated_inputs_seen_from_everywhere() {
    let mut g = Graph::new();
    let [a, b, c]: [Value; 3] = ["a", "b", "c"].map(|name| g.input(name, Type::f32([4, 4])).unwrap());
    let turned = g.push(Op::Transpose([1, 0].into_iter().collect()), &[a]).unwrap();
    let product = g.push(Op::Dot, &[a, turned]).unwrap();
    let new = g.push(Op::Binary(Binary::Add), &[product, a]).unwrap();
    let again = g.push(Op::Reshape(shape(&[16])), &[new]).unwrap();
    let back = g.push(Op::Reshape(shape(&[4, 4])), &[again]).unwrap();
    g.output("old", a).unwrap();
    g.output("turned", turned).unwrap();
    g.output_updating("a'", back, a).unwrap();
    g.output("flat", again).unwrap();
    g.output("new", new).unwrap();
    g.output_updating("b'", c, b).unwrap();
    g.output_updating("c'", turned, c).unwrap();
    let late = g.push(Op::Unary(Unary::Neg), &[b]).unwrap();
    g.output("late", late).unwrap();
    check_everywhere(&g);
}

/// Kernels that became part of others do not count against the limit.
#[test]
fn three_thousand_parameters() {
    let b = bayeslift_ir::Builder::new();
    let x = b.input("x", Type::f32([8, 16]));
    for i in 0..3000 {
        let [p, m, v] = ["p", "m", "v"].map(|name| b.input(&format!("{name} {i}"), Type::f32([16])));
        let g = (x * p).tanh().sum(0);
        let (new_m, new_v) = (m * 0.9 + g * 0.1, v * 0.999 + g * g * 0.001);
        let new_p = p - new_m / (new_v.sqrt() + 1e-7) * 1e-3;
        for (name, new, old) in [("p", new_p, p), ("m", new_m, m), ("v", new_v, v)] {
            b.output_updating(&format!("{name} {i}"), new, old);
        }
    }
    let plan = Plan::new(b.finish().unwrap()).unwrap();
    assert_eq!(plan.kernels.len(), 6000);
    assert!(
        plan.kernels.iter().all(|kernel| kernel.writes.iter().all(|write| !matches!(write.place, Place::Output(_))))
    );
}

/// The left operand is gathered from windows, the right one is read by strides, and they are one value.
#[test]
fn windows_multiplied_by_themselves() {
    let b = Builder::new();
    let x = b.input("x", Type::f32([6, 2]));
    let windows = x.window(Window { axis: 0, start: 0, size: 2, dilation: 2, count: 4, step: 1 });
    let square = windows.transpose(&[1, 0, 2]).reshape([4, 4]);
    b.output("product", square.dot(square));
    b.output("computed", square.square().dot(square.square()));
    check_everywhere(&b.finish().unwrap());
}

/// Keys that are read backwards and from within, noise that is folded and windowed, positions and masks in windows,
/// steps that are not taken, and donated inputs that are folded from and windowed into themselves.
#[test]
fn windows_on_everything() {
    let far = "axis=0 start=3 size=1 dilation=-2147483648 count=1 step=2147483647";
    let text = format!(
        "graph {{
  %0 = input \"keys\" : u32[9]
  %1 = input \"x\" : f32[6,7]
  %2 = input \"y\" : f32[6,7]
  %3 = input \"z\" : f32[40]
  %4 = window axis=0 start=8 size=1 dilation=1 count=4 step=-2 %0 : u32[1,4]
  %5 = reshape %4 : u32[4]
  %6 = window axis=0 start=3 size=1 dilation=1 count=1 step=1 %0 : u32[1,1]
  %7 = reshape %6 : u32[]
  %8 = window axis=0 start=7 size=2 dilation=-3 count=1 step=1 %0 : u32[2,1]
  %9 = reshape %8 : u32[2]
  %10 = noise normal stream=0x0000000000000012 sample_axis=0 example_axis=1 %5 %7 %9 : f32[3,5,40]
  %11 = fold axis=1 start=2 size=5 dilation=0 count=40 step=3 %10 : f32[3,120]
  %12 = fold axis=0 start=4 size=3 dilation=-2 count=5 step=1 %10 : f32[9,40]
  %13 = window axis=2 start=39 size=3 dilation=-7 count=26 step=-1 %10 : f32[3,5,3,26]
  %14 = iota : u32[42]
  %29 = reshape %14 : u32[6,7]
  %15 = window axis=1 start=6 size=2 dilation=-1 count=3 step=-2 %29 : u32[6,2,3]
  %16 = less %1 %2 : mask[6,7]
  %17 = window axis=1 start=0 size=2 dilation=1 count=3 step=2 %16 : mask[6,2,3]
  %18 = window axis=1 start=6 size=2 dilation=-1 count=3 step=-2 %1 : f32[6,2,3]
  %19 = convert %15 : f32[6,2,3]
  %20 = select %17 %18 %19 : f32[6,2,3]
  %21 = window {far} %3 : f32[1,1]
  %22 = fold {far} %21 : f32[40]
  %23 = window axis=0 start=0 size=6 dilation=1 count=1 step=1 %1 : f32[6,1,7]
  %24 = reshape %23 : f32[6,1,7]
  %25 = fold axis=0 start=5 size=6 dilation=-1 count=1 step=1 %24 : f32[6,7]
  %26 = window axis=0 start=5 size=1 dilation=1 count=6 step=-1 %2 : f32[1,6,7]
  %27 = reshape %26 : f32[6,7]
  %28 = add %27 %2 : f32[6,7]
  output \"folded rows\" = %11
  output \"folded\" = %12
  output \"windows\" = %13
  output \"selected\" = %20
  output \"positions\" = %15
  output \"mask\" = %17
  output \"z\" = %22
  output \"x\" = %25 updates %1
  output \"y\" = %28 updates %2
}}"
    );
    check_everywhere(&text.parse().unwrap_or_else(|error| panic!("{error}")));
}

/// Windows up to the largest rank, as a product's operand and by the element.
#[test]
fn windows_of_windows_up_to_the_largest_rank() {
    let b = Builder::new();
    let mut x = b.input("x", Type::f32([17, 5]));
    let mut axis = 0;
    while x.shape().len() < bayeslift_ir::MAX_RANK {
        let extent = x.shape()[axis];
        let (size, count) = if extent > 2 { (2, extent - 1) } else { (1, extent) };
        x = x.window(Window { axis, start: 0, size, dilation: 1, count: count.min(8), step: 1 });
        axis = (axis + 2) % x.shape().len();
    }
    let order: Vec<usize> = (0..x.shape().len()).rev().collect();
    let turned = x.transpose(&order);
    let depth: usize = turned.shape()[7..].iter().product();
    let rows = turned.reshape([turned.shape().elements() / depth, depth]);
    b.output("product", rows.dot(b.input("w", Type::f32([depth, 3]))));
    b.output("turned", turned.sin());
    b.output("sum", x.sum(11).sum(0));
    check_everywhere(&b.finish().unwrap());
}
