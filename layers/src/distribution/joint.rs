//! One distribution of kernel and bias, and what a layer sees of it.

use super::{AnyDistribution, Distribution, Known, Normal};
use crate::{Draw, Error, KernelBias, KernelBiasShape, Site};
use bayeslift_ir::{Expr, Shape};

/// The name of the random variable that has kernel and bias in one vector.
pub(crate) const JOINT: &str = "kernel_bias";

/// Tensors that are a vector `[.., n]` together, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Layout(Vec<Shape>);

impl Layout {
    pub fn of(shape: &KernelBiasShape) -> Layout {
        Layout([&shape.kernel].into_iter().chain(&shape.bias).cloned().collect())
    }

    /// The shape of the vector.
    pub fn vector(&self) -> Shape {
        [self.0.iter().map(|shape| shape.elements()).sum::<usize>()].into_iter().collect()
    }

    /// The tensor of this number, of a vector.
    fn part<'b>(&self, number: usize, vector: Expr<'b>) -> Expr<'b> {
        let begin: usize = self.0[..number].iter().map(|shape| shape.elements()).sum();
        let (shape, all) = (&self.0[number], vector.shape());
        let axis = all.len().saturating_sub(1);
        let extents: Shape = all[..axis].iter().chain(shape.iter()).copied().collect();
        vector.slice(axis, begin..begin + shape.elements()).reshape(extents)
    }

    /// The vector of tensors, with whatever axes they have in front.
    fn join<'b>(&self, parts: &[Expr<'b>]) -> Expr<'b> {
        let count = self.vector().elements();
        let mut begin = 0;
        let placed = self.0.iter().zip(parts).map(|(shape, part)| {
            let all = part.shape();
            let leading = &all[..all.len().saturating_sub(shape.len())];
            let extents: Shape = leading.iter().copied().chain([shape.elements()]).collect();
            let placed = part.reshape(extents).pad(leading.len(), begin, count - begin - shape.elements(), 0);
            begin += shape.elements();
            placed
        });
        placed.reduce(|a, b| a + b).expect("a layer has a kernel")
    }
}

/// A posterior of kernel and bias together.
#[derive(Clone, Debug)]
pub(crate) struct Joint<'b> {
    pub distribution: AnyDistribution<'b>,
    pub layout: Layout,
}

impl<'b> Joint<'b> {
    /// Kernel and bias, each as a part of it. Both draw at one site, so that they are of one draw.
    pub fn parts(&self) -> KernelBias<AnyDistribution<'b>> {
        let part = |number| Marginal { joint: self.clone(), number }.into();
        KernelBias { kernel: part(0), bias: (self.layout.0.len() > 1).then(|| part(1)) }
    }

    /// The prior of the vector whose parts have these priors.
    pub fn prior(&self, priors: &KernelBias<AnyDistribution<'b>>) -> AnyDistribution<'b> {
        let blocks = [&priors.kernel].into_iter().chain(&priors.bias).cloned().collect();
        Blocks { blocks, layout: self.layout.clone() }.into()
    }

    /// The value of the vector whose parts were used, with its noise if it was drawn.
    pub fn value(
        &self,
        site: &Site<'b>,
        is_drawn: bool,
        used: KernelBias<Option<Draw<'b>>>,
    ) -> Result<Option<Draw<'b>>, Error> {
        let Some(kernel) = used.kernel else { return Ok(None) };
        if is_drawn {
            return self.distribution.sample(site, &self.layout.vector()).map(Some);
        }
        let parts: Vec<Expr<'b>> = [kernel].into_iter().chain(used.bias.flatten()).map(|draw| draw.value).collect();
        Ok(Some(site.value(self.layout.join(&parts))))
    }
}

/// A tensor of a joint distribution: its marginal statistics, and its part of a draw.
#[derive(Clone, Debug)]
struct Marginal<'b> {
    joint: Joint<'b>,
    number: usize,
}

impl<'b> Marginal<'b> {
    fn of(&self, vector: Expr<'b>) -> Expr<'b> {
        let layout = &self.joint.layout;
        layout.part(self.number, vector.broadcast(&layout.vector()))
    }
}

impl<'b> Distribution<'b> for Marginal<'b> {
    fn family(&self) -> &'static str {
        "a part of a joint posterior of kernel and bias"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        self.joint.distribution.parameters()
    }

    /// There is no closed form of a marginal density: divergences are those of the whole.
    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        value.sum_all() * f32::NAN
    }

    fn sample(&self, site: &Site<'b>, _: &Shape) -> Result<Draw<'b>, Error> {
        let layout = &self.joint.layout;
        let draw = self.joint.distribution.sample(&site.sibling(JOINT), &layout.vector())?;
        Ok(site.value(layout.part(self.number, draw.value)))
    }

    fn mean(&self) -> Option<Expr<'b>> {
        Some(self.of(self.joint.distribution.mean().ok()?))
    }

    fn mode(&self) -> Option<Expr<'b>> {
        Some(self.of(self.joint.distribution.mode().ok()?))
    }

    fn stddev(&self) -> Option<Expr<'b>> {
        Some(self.of(self.joint.distribution.stddev().ok()?))
    }

    fn event_ndims(&self) -> usize {
        self.joint.layout.0[self.number].len()
    }
}

/// Independent distributions of the tensors that a vector has.
#[derive(Clone, Debug)]
struct Blocks<'b> {
    blocks: Vec<AnyDistribution<'b>>,
    layout: Layout,
}

impl<'b> Distribution<'b> for Blocks<'b> {
    fn family(&self) -> &'static str {
        "Blocks"
    }

    fn parameters(&self) -> Vec<(&'static str, Expr<'b>)> {
        self.blocks.iter().flat_map(AnyDistribution::parameters).collect()
    }

    fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        let leading = value.shape().len().saturating_sub(1);
        let of_blocks = self.blocks.iter().enumerate().map(|(number, block)| {
            let mut log_prob = block.log_prob(self.layout.part(number, value));
            while log_prob.shape().len() > leading {
                log_prob = log_prob.sum(log_prob.shape().len() - 1);
            }
            log_prob
        });
        of_blocks.reduce(|a, b| a + b).expect("a layer has a kernel")
    }

    fn sample(&self, site: &Site<'b>, _: &Shape) -> Result<Draw<'b>, Error> {
        let draw = |(number, (block, shape)): (usize, (&AnyDistribution<'b>, &Shape))| {
            Ok(block.sample(&site.child(&format!("block {number}")), shape)?.value)
        };
        let draws = self.blocks.iter().zip(&self.layout.0).enumerate().map(draw).collect::<Result<Vec<_>, Error>>()?;
        Ok(site.value(self.layout.join(&draws)))
    }

    fn event_ndims(&self) -> usize {
        1
    }

    /// Normal where all blocks are.
    fn known(&self) -> Known<'b> {
        let normals: Option<Vec<Normal<'b>>> = self.blocks.iter().map(AnyDistribution::as_normal).collect();
        let Some(normals) = normals else { return Known::Other };
        let whole = |of: fn(&Normal<'b>) -> Expr<'b>| {
            let parts: Vec<_> =
                normals.iter().zip(&self.layout.0).map(|(normal, shape)| of(normal).broadcast(shape)).collect();
            self.layout.join(&parts)
        };
        Known::Normal(Normal::new(whole(|normal| normal.loc), whole(|normal| normal.scale)))
    }

    fn describe(&self, words: &dyn Fn(Expr<'b>) -> String) -> String {
        self.blocks.iter().map(|block| block.describe(words)).collect::<Vec<_>>().join("; ")
    }
}
