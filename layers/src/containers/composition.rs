//! Layers side by side: a sum with the input, several layers of one input.

use crate::{Call, Context, Error, Layer, LayerDescription, Scope, Sequential, containers::sequential::check_name};
use bayeslift_ir::{Expr, Shape};
use std::sync::Arc;

/// x + layer(x), or shortcut(x) + layer(x): a residual connection (He and others 2016).
///
/// The layer's path is that of its name in this one, `residual/sequential/..` for a [`Sequential`]; the shortcut's is
/// `residual/shortcut/..`.
///
/// ```
/// use bayeslift_layers::{Activation, Convolution, Layer, Padding, Residual, Sequential};
/// let same = |i, o| Convolution::new(i, o, [3, 3]).padding(Padding::Same);
/// let block = Sequential::new().layer(same(8, 16)).layer(Activation::Relu).layer(same(16, 16)).name("block");
/// let residual = Residual::new(block).shortcut(Convolution::new(8, 16, [1, 1]).use_bias(false));
/// let paths: Vec<_> = residual.variables()?.into_iter().map(|variable| variable.path).collect();
/// assert_eq!((&paths[0][..], &paths[4][..]), ("block/convolution/kernel", "shortcut/kernel"));
/// assert_eq!(residual.name("first").trace([16, 28, 28, 8].into())?.rows.last().map(|row| row.ty.shape[3]), Some(16));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// Outputs of different shapes are refused with [`Error::Shape`] where it is called.
#[derive(Clone)]
pub struct Residual {
    layer: Arc<dyn Layer>,
    shortcut: Option<Arc<dyn Layer>>,
    name: Option<String>,
}

impl Residual {
    /// x + layer(x), for a layer whose output has the shape of its input; else give a [`Residual::shortcut`].
    pub fn new(layer: impl Layer + 'static) -> Self {
        Residual { layer: Arc::new(layer), shortcut: None, name: None }
    }

    /// Puts a layer in place of the identity, where shapes change: shortcut(x) + layer(x). Its name is `shortcut`,
    /// which the other layer must not have then.
    pub fn shortcut(mut self, shortcut: impl Layer + 'static) -> Self {
        self.shortcut = Some(Arc::new(shortcut));
        self
    }

    /// Gives it a name, its part of the paths of its layers' parameters. Names are unique in a container and have no
    /// `/`; others are refused where a network is made of it. Default: `residual`, which containers number:
    /// `residual_1`, ..
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn check_names(&self) -> Result<(), Error> {
        check_name(self.layer.name())?;
        if self.shortcut.is_some() && self.layer.name() == "shortcut" {
            return Err(Error::DuplicateName { what: "layers", name: "shortcut".into() });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Residual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Residual({})", self.layer.name())
    }
}

impl Layer for Residual {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("residual")
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.check_names()?;
        let declare = |name: &str, layer: &dyn Layer| {
            let scope = scope.child(name);
            layer.declare(&scope).map_err(|error| error.within(scope.path()))
        };
        declare(self.layer.name(), &*self.layer)?;
        self.shortcut.as_ref().map_or(Ok(()), |shortcut| declare("shortcut", &**shortcut))
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.check_names()?;
        let mut all = context.call_layer(self.layer.name(), &*self.layer, x)?;
        let shortcut = match &self.shortcut {
            Some(shortcut) => {
                let call = context.call_layer("shortcut", &**shortcut, x)?;
                let output = call.output;
                all.absorb_all(call);
                output
            }
            None => x,
        };
        let samples = usize::from(context.sample_count().is_some());
        let (own, other) = (all.output.shape(), shortcut.shape());
        if own.get(samples..) != other.get(samples..) {
            let expected = format!("{other} as that of the shortcut, but for an axis of samples");
            return Err(Error::shape("the layer's output", expected, &own));
        }
        all.output = shortcut + all.output;
        Ok(all)
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        let shortcut = self.shortcut.iter().map(|layer| ("shortcut", &**layer));
        [(self.layer.name(), &*self.layer)].into_iter().chain(shortcut).collect()
    }

    fn describe(&self) -> LayerDescription {
        let description = LayerDescription::new("residual").layer(self.layer.name(), &*self.layer);
        match &self.shortcut {
            Some(shortcut) => description.layer("shortcut", &**shortcut),
            None => description,
        }
    }
}

/// How [`Branches`] join what their layers give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Join {
    Concatenate,
    Add,
}

/// Several layers of one input, whose outputs are concatenated along the last axis or added.
///
/// Names and paths are as in a [`Sequential`]. (Concatenation is an addition of outputs padded with zeros, so a -0
/// becomes +0.)
///
/// ```
/// use bayeslift_layers::{Branches, Convolution, Layer, Padding, Sequential};
/// let same = |size: usize| Convolution::new(8, 4, size).padding(Padding::Same);
/// let inception = Branches::concatenate().layer(same(1)).layer(same(3)).layer(same(5)).name("inception");
/// let sum = Branches::add().layer(Convolution::new(12, 2, 1)).layer(Convolution::new(12, 2, 1));
/// let network = Sequential::new().layer(inception).layer(sum);
/// assert_eq!(network.initialize(0)?.paths().nth(2), Some("inception/convolution_1/kernel"));
/// let trace = network.trace([16, 28, 28, 8].into())?;
/// let shape = |path: &str| trace.rows.iter().find(|row| row.path == path).map(|row| row.ty.shape.to_vec());
/// assert_eq!(shape("inception"), Some(vec![16, 28, 28, 3 * 4]));
/// assert_eq!(shape("branches"), Some(vec![16, 28, 28, 2]));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Branches {
    layers: Sequential,
    join: Join,
    name: Option<String>,
}

impl Branches {
    /// No layers yet, whose outputs are put side by side on the last axis: `[.., a]` and `[.., b]` give `[.., a + b]`.
    /// Outputs that differ in other axes, and no layers at all, are refused where it is called.
    pub fn concatenate() -> Self {
        Branches { layers: Sequential::new(), join: Join::Concatenate, name: None }
    }

    /// No layers yet, whose outputs, all of one shape, are added element by element. Outputs of different shapes, and
    /// no layers at all, are refused where it is called.
    pub fn add() -> Self {
        Branches { layers: Sequential::new(), join: Join::Add, name: None }
    }

    /// Appends a layer, which gets the same input as the others. Equal default names are numbered, as in a
    /// [`Sequential`].
    pub fn layer(mut self, layer: impl Layer + 'static) -> Self {
        self.layers = self.layers.layer(layer);
        self
    }

    /// Gives it a name, its part of the paths of its layers' parameters. Names are unique in a container and have no
    /// `/`; others are refused where a network is made of it. Default: `branches`, which containers number:
    /// `branches_1`, ..
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Layer for Branches {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("branches")
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        if self.layers.is_empty() {
            return Err(Error::argument("the number of branches", "at least 1", 0));
        }
        self.layers.declare(scope)
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.layers.check_names()?;
        let (mut all, mut outputs) = (Call::new(x), Vec::new());
        for (i, name) in self.layers.names().enumerate() {
            let call = context.call_layer(name, &*self.layers[i], x)?;
            outputs.push(call.output);
            all.absorb_all(call);
        }
        let samples = usize::from(context.sample_count().is_some());
        let joined = match self.join {
            Join::Concatenate => concatenate(&outputs, samples)?,
            Join::Add => {
                for output in &outputs {
                    check_alike(&outputs[0].shape(), &output.shape(), samples, 0)?;
                }
                outputs.into_iter().reduce(|a, b| a + b)
            }
        };
        all.output = joined.ok_or_else(|| Error::argument("the number of branches", "at least 1", 0))?;
        Ok(all)
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        self.layers.children()
    }

    fn describe(&self) -> LayerDescription {
        let join = match self.join {
            Join::Concatenate => "concatenate",
            Join::Add => "add",
        };
        LayerDescription { kind: "branches".into(), ..self.layers.describe() }.option("join", join)
    }
}

/// Checks that the outputs of two branches have the same axes, but for that of samples and the last `but` ones.
fn check_alike(first: &Shape, other: &Shape, samples: usize, but: usize) -> Result<(), Error> {
    let compared = |shape: &Shape| shape.get(samples..shape.len().saturating_sub(but)).map(<[usize]>::to_vec);
    if first.len() > samples + but && compared(first) == compared(other) {
        return Ok(());
    }
    let last = if but == 1 { "last axis" } else { "axis of samples" };
    Err(Error::shape("the output of a branch", format!("that of the first, {first}, but for the {last}"), other))
}

/// Outputs side by side on the last axis: each is padded to the whole, and all are added.
fn concatenate<'b>(outputs: &[Expr<'b>], samples: usize) -> Result<Option<Expr<'b>>, Error> {
    let Some(first) = outputs.first() else { return Ok(None) };
    let units: usize = outputs.iter().map(|output| output.shape().last_extent()).sum();
    let (mut before, mut sum) = (0, None::<Expr<'b>>);
    for output in outputs {
        let shape = output.shape();
        check_alike(&first.shape(), &shape, samples, 1)?;
        let own = shape.last_extent();
        let padded = output.pad(shape.len() - 1, before, units - before - own, 0);
        before += own;
        sum = Some(sum.map_or(padded, |sum| sum + padded));
    }
    Ok(sum)
}
