//! Printing graphs.

use crate::{Graph, Input, Noise, Op, Output, Value, Window};
use std::fmt::{self, Debug, Display, Formatter};

/// With `{:#}` each value tells where it comes from.
impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph {{")?;
        for value in self.values() {
            write!(f, "  {}", Line(self, value))?;
            let origin = self.origin(value);
            if f.alternate() && !origin.is_unknown() {
                let of = if origin.is_gradient { "gradient " } else { "" };
                write!(f, " from {of}{}", Quoted(&origin.scope))?;
            }
            writeln!(f)?;
        }
        for Output { name, value, updates } in self.outputs() {
            write!(f, "  output {} = {value}", Quoted(name))?;
            match updates {
                Some(input) => writeln!(f, " updates {}", self.inputs()[*input].value)?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "}}")
    }
}

/// One node: `%3 = sum axis=1 %2 : f32[5]`.
struct Line<'a>(&'a Graph, Value);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Line(graph, value) = *self;
        let node = graph.node(value);
        write!(f, "{value} = {}", node.op.name())?;
        attributes(f, &node.op, graph.inputs())?;
        for arg in &node.args {
            write!(f, " {arg}")?;
        }
        write!(f, " : {}", node.ty)
    }
}

/// What the name, the operands and the result's type do not tell.
fn attributes(f: &mut Formatter<'_>, op: &Op, inputs: &[Input]) -> fmt::Result {
    match op {
        Op::Input(index) => write!(f, " {}", Quoted(&inputs[*index as usize].name)),
        Op::Constant(bits) => write!(f, " {}", Float(f32::from_bits(*bits))),
        Op::ConstantF64(bits) => write!(f, " {}", Float(f64::from_bits(*bits))),
        Op::ConstantU32(x) => write!(f, " {x}"),
        Op::Noise(Noise { distribution, stream, sample_axis, example_axis, dtype: _, shape: _ }) => {
            write!(f, " {} stream={stream:#018x}", distribution.name())?;
            for (name, axis) in [("sample_axis", sample_axis), ("example_axis", example_axis)] {
                if let Some(axis) = axis {
                    write!(f, " {name}={axis}")?;
                }
            }
            Ok(())
        }
        Op::Sum(axis) | Op::Max(axis) => write!(f, " axis={axis}"),
        Op::Transpose(permutation) => {
            write!(f, " permutation=[")?;
            for (i, axis) in permutation.iter().enumerate() {
                write!(f, "{}{axis}", if i == 0 { "" } else { "," })?;
            }
            write!(f, "]")
        }
        Op::Window(window) | Op::Fold(window, _) => {
            let Window { axis, start, size, dilation, count, step } = window;
            write!(f, " axis={axis} start={start} size={size} dilation={dilation} count={count} step={step}")
        }
        Op::FirstEqual(rows) => write!(f, " rows={rows}"),
        // The type of the result is their only attribute.
        Op::ScatterAdd(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_) | Op::Convert(_) => Ok(()),
        Op::Unary(_) | Op::Binary(_) | Op::Compare(_) => Ok(()),
        Op::Select | Op::StopGradient | Op::Dot | Op::Gather | Op::ScatterRows => Ok(()),
    }
}

/// The shortest decimal that reads back as the same bits.
struct Float<T>(T);

impl<T: Debug> Display for Float<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match format!("{:?}", self.0).as_str() {
            "NaN" => f.write_str("nan"),
            decimal => f.write_str(decimal),
        }
    }
}

/// A name between quotes, on one line whatever it holds.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}
