use bayeslift::ir::*;
use bayeslift::runtime::*;
fn main() {
    let a: Vec<usize> = std::env::args().skip(1).map(|x| x.parse().unwrap()).collect();
    let [examples, extent, channels, outputs, window, step, family] = a[..] else { panic!() };
    let (b, small) = (Builder::new(), extent / step);
    let padding = (small - 1) * step + window - extent;
    let axis = Sliding { size: window, step, dilation: 1, before: padding / 2, after: padding.div_ceil(2) };
    let convolution = Convolution { axes: [axis; 2].into_iter().collect(), groups: 1 };
    let image = || b.input("image", Type::f32([examples, extent, extent, channels]));
    let kernel = || b.input("kernel", Type::f32([window, window, channels, outputs]));
    let adjoint = || b.input("adjoint", Type::f32([examples, small, small, outputs]));
    let y = match family {
        0 => convolution.apply(image(), kernel()),
        1 => convolution
            .patches(image(), &Shape::default())
            .rows
            .matrix_transpose()
            .dot(adjoint().reshape([examples * small * small, outputs])),
        _ => convolution.apply_transpose(adjoint(), kernel().matrix_transpose(), &[extent, extent]),
    };
    b.output("y", y);
    let graph = b.finish().unwrap();
    if std::env::var("SHOW").is_ok() {
        println!("{graph}");
    }
    let tensors: Vec<Vec<f32>> =
        graph.inputs().iter().map(|input| vec![0.5; graph.ty(input.value).shape.elements()]).collect();
    let exe = Executable::compile(graph, &Options::default().threads(1)).unwrap();
    let mut w = exe.workspace().unwrap();
    let mut y = exe.new_outputs();
    let mut inputs: Vec<Argument<'_>> = tensors.iter().map(|t| t.as_slice().into()).collect();
    for _ in 0..20 {
        exe.call_into(&mut w, &mut inputs, &mut y).unwrap();
    }
    println!("{}", exe.profile(&mut w, &mut inputs, &mut y, 20).unwrap());
}
