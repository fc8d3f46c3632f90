//! Layers one after the other.

use crate::{Call, Context, Error, Lambda, Layer, LayerDescription, Scope};
use bayeslift_ir::{DType, Expr, Foreign};
use std::{
    fmt,
    ops::{Bound, RangeBounds},
    sync::Arc,
};

/// Layers one after another.
///
/// Each child has a name, unique in its container, that is its part of every path below it. A layer without a name of
/// its own gets the default of its kind, numbered: `affine`, `affine_1`, .. Two layers therefore never share
/// parameters or noise by accident.
///
/// ```
/// use bayeslift_layers::{Affine, Layer, Sequential};
/// let network = Sequential::new().layer(Affine::new(8, 4)).apply(|x| x.relu()).layer(Affine::new(4, 1));
/// assert_eq!(network.names().collect::<Vec<_>>(), ["affine", "lambda", "affine_1"]);
/// println!("{}", network.summary()?);
/// // layers by number and by name
/// assert_eq!((network.len(), network.is_empty()), (3, false));
/// assert_eq!(network.by_name("affine_1")?.variables()?[0].ty.shape[..], [4, 1]);
/// assert_eq!((network[1].name(), network.get(3).is_none()), ("lambda", true));
/// let error = network.by_name("affine_2").err().map_or(String::new(), |error| error.to_string());
/// assert!(error.starts_with("there is no layer named `affine_2`; there are: "));
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Sequential {
    name: Option<String>,
    dtype: Option<DType>,
    children: Vec<(String, Arc<dyn Layer>)>,
}

impl Sequential {
    /// A container without layers, whose output is its input. Layers are appended by [`Sequential::layer`].
    pub fn new() -> Self {
        Sequential::default()
    }

    /// Gives it a name of its own, without `/`. It matters where it is a layer of another container: there it begins
    /// the paths of its layers' parameters, and has to be unique.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The element type of all layers, `f32` or `f64`: of parameters, of what is between layers, of inputs and outputs.
    /// Default: that of the first layer that [says one](crate::Affine::dtype), else `f32`.
    ///
    /// ```
    /// use bayeslift_ir::DType;
    /// use bayeslift_layers::{Affine, Layer, Sequential};
    /// let network = Sequential::new().dtype(DType::F64).layer(Affine::new(8, 4)).layer(Affine::new(4, 1));
    /// assert!(network.variables()?.iter().all(|variable| variable.ty.dtype == DType::F64));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }

    /// Appends a layer, whose input is the output of those before it. A default name that is taken gets a number; a
    /// name of its own that is taken is refused where a network is made of it.
    pub fn layer(self, layer: impl Layer + 'static) -> Self {
        self.push(Arc::new(layer))
    }

    /// Appends a layer that is shared already. It is the description that is shared: at its new place it has
    /// parameters of its own.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Sequential};
    /// use std::sync::Arc;
    /// let block: Arc<dyn Layer> = Arc::new(Affine::new(8, 8));
    /// let network = Sequential::new().push(Arc::clone(&block)).push(block);
    /// assert_eq!(network.initialize(0)?.paths().nth(2), Some("affine_1/kernel"));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn push(self, layer: Arc<dyn Layer>) -> Self {
        let name = layer.name().to_owned();
        self.push_named(name, layer)
    }

    /// Appends a layer under this name, or, if it is taken and the layer has no name of its own, under a number.
    fn push_named(mut self, mut name: String, layer: Arc<dyn Layer>) -> Self {
        if layer.has_default_name() {
            let base = layer.name();
            let mut number = 1;
            while self.children.iter().any(|(other, _)| *other == name) {
                name = format!("{base}_{number}");
                number += 1;
            }
        }
        self.children.push((name, layer));
        self
    }

    /// Appends the layers of another one, each under the name it has there, or under another number if that is taken.
    /// (As a [layer](Sequential::layer) of this one it would be a container of its own, with one more name in every
    /// path.)
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Sequential};
    /// let encoder = Sequential::new().layer(Affine::new(8, 2));
    /// let decoder = Sequential::new().layer(Affine::new(2, 8)).layer(Affine::new(8, 8).name("image"));
    /// let both = encoder.then(decoder);
    /// assert_eq!(both.names().collect::<Vec<_>>(), ["affine", "affine_1", "image"]);
    /// ```
    pub fn then(self, next: Sequential) -> Self {
        next.children.into_iter().fold(self, |all, (name, layer)| all.push_named(name, layer))
    }

    /// Appends a function of an expression, as a [`Lambda`] under the name `lambda`. With samples the argument has one
    /// more axis in front, so the function should work on trailing axes.
    pub fn apply(self, function: impl for<'b> Fn(Expr<'b>) -> Expr<'b> + Send + Sync + 'static) -> Self {
        self.layer(Lambda::new("lambda", function))
    }

    /// The number of layers. A container among them counts once.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether it has no layers: its output is its input then.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// The names of the layers, in order, with the numbers that default names got.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.children.iter().map(|(name, _)| name.as_str())
    }

    /// The layer at an index, counted from 0; `None` beyond the last.
    pub fn get(&self, index: usize) -> Option<&Arc<dyn Layer>> {
        self.children.get(index).map(|(_, layer)| layer)
    }

    /// The layer of this name.
    ///
    /// # Errors
    /// No such layer; the message lists some that exist.
    pub fn by_name(&self, name: &str) -> Result<&Arc<dyn Layer>, Error> {
        let found = self.children.iter().find(|(child, _)| child == name);
        found.map(|(_, layer)| layer).ok_or_else(|| Error::UnknownName {
            what: "layer",
            name: name.to_owned(),
            known: Foreign::list(self.names()),
        })
    }

    /// Some of the layers, under the same names and so with the same parameters. A range beyond the end is cut off.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Sequential};
    /// let network = Sequential::new().layer(Affine::new(8, 4)).apply(|x| x.relu()).layer(Affine::new(4, 1));
    /// let parameters = network.initialize(0)?;
    /// let features = network.slice(..2);
    /// features.validate(&parameters)?;
    /// assert_eq!(network.slice(2..).names().next(), Some("affine_1"));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Sequential {
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => self.len(),
        };
        let end = end.min(self.len());
        Sequential { name: self.name.clone(), dtype: self.dtype, children: self.children[start.min(end)..end].to_vec() }
    }

    pub(crate) fn check_names(&self) -> Result<(), Error> {
        for (i, (name, _)) in self.children.iter().enumerate() {
            check_name(name)?;
            if self.children[..i].iter().any(|(other, _)| other == name) {
                return Err(Error::DuplicateName { what: "layers", name: name.clone() });
            }
        }
        Ok(())
    }
}

/// Checks that a layer's name can be a part of a path.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains('/') || name.chars().any(char::is_control) {
        let expected = "a name that is not empty and has neither `/` nor control characters";
        return Err(Error::argument("the name of a layer", expected, format!("{name:?}")));
    }
    Ok(())
}

impl fmt::Debug for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl std::ops::Index<usize> for Sequential {
    type Output = Arc<dyn Layer>;
    /// The layer at an index.
    ///
    /// # Panics
    /// An index beyond the end, as for slices; [`Sequential::get`] does not.
    fn index(&self, index: usize) -> &Arc<dyn Layer> {
        &self.children[index].1
    }
}

impl FromIterator<Arc<dyn Layer>> for Sequential {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Layer>>>(layers: I) -> Self {
        layers.into_iter().fold(Sequential::new(), Sequential::push)
    }
}

impl From<Vec<Arc<dyn Layer>>> for Sequential {
    fn from(layers: Vec<Arc<dyn Layer>>) -> Self {
        layers.into_iter().collect()
    }
}

impl Layer for Sequential {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("sequential")
    }

    fn has_default_name(&self) -> bool {
        self.name.is_none()
    }

    fn element_type(&self) -> Option<DType> {
        self.dtype.or_else(|| self.children.iter().find_map(|(_, layer)| layer.element_type()))
    }

    fn declare(&self, scope: &Scope<'_>) -> Result<(), Error> {
        self.check_names()?;
        scope.check_dtype(self.dtype)?;
        self.children.iter().try_for_each(|(name, layer)| {
            let scope = scope.child(name);
            layer.declare(&scope).map_err(|error| error.within(scope.path()))
        })
    }

    fn call<'b>(&self, context: &Context<'b>, x: Expr<'b>) -> Result<Call<'b>, Error> {
        self.check_names()?;
        let mut all = Call::new(x);
        for (name, layer) in &self.children {
            let call = context.call_layer(name, layer, all.output)?;
            all.output = call.output;
            all.absorb_all(call);
        }
        Ok(all)
    }

    fn children(&self) -> Vec<(&str, &dyn Layer)> {
        self.children.iter().map(|(name, layer)| (name.as_str(), &**layer)).collect()
    }

    fn describe(&self) -> LayerDescription {
        self.children.iter().fold(LayerDescription::new("sequential"), |all, (name, layer)| all.layer(name, layer))
    }
}
