//! Parameters: tensors by paths, with what each is for.

mod bijector;
mod initializer;

pub use bijector::Bijector;
pub use initializer::{CustomInitializer, Initializer, fans};

use crate::Error;
use bayeslift_ir::{DType, Foreign, Shape, Tensor, Type};
use bijector::shortest;
use std::{collections::HashMap, fmt::Write};

/// What a parameter is to its layer, so that rules can be made for all of a kind: freeze the scales, halve the rate
/// of the priors.
///
/// ```
/// use bayeslift_layers::Group;
/// assert!(Group::ALL.iter().all(|group| Group::from_name(group.name()) == Some(*group)));
/// assert_eq!((Group::Scale.name(), Group::from_name("scales")), ("scale", None));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Group {
    /// A weight of a deterministic layer.
    #[default]
    Weight,
    /// The location of a posterior.
    Loc,
    /// The scale of a posterior, before its map to positive numbers.
    Scale,
    /// A parameter of a prior.
    Prior,
    /// A parameter of a likelihood.
    Likelihood,
    /// What a layer remembers of the data, such as a moving average.
    Statistic,
}

impl Group {
    /// All of them.
    pub const ALL: &'static [Group] =
        &[Group::Weight, Group::Loc, Group::Scale, Group::Prior, Group::Likelihood, Group::Statistic];

    /// The name, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Group::Weight => "weight",
            Group::Loc => "loc",
            Group::Scale => "scale",
            Group::Prior => "prior",
            Group::Likelihood => "likelihood",
            Group::Statistic => "statistic",
        }
    }

    /// The group of this name.
    pub fn from_name(name: &str) -> Option<Group> {
        Group::ALL.iter().copied().find(|group| group.name() == name)
    }
}

/// A parameter of a network.
///
/// ```
/// use bayeslift_ir::Tensor;
/// use bayeslift_layers::{Group, Parameter, Parameters};
///
/// let bias = Parameter { tensor: Tensor::f32([2], [0.5, 0.5])?, trainable: true, group: Group::Weight };
/// let mut parameters = Parameters::new();
/// parameters.insert("affine/bias", bias.clone())?;
/// assert_eq!(parameters.get("affine/bias")?, &bias);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its value.
    pub tensor: Tensor,
    /// Whether training changes it.
    pub trainable: bool,
    /// What it is to its layer.
    pub group: Group,
}

/// A parameter as a layer declares it: everything but its value.
///
/// ```
/// use bayeslift_ir::Type;
/// use bayeslift_layers::{Affine, Group, Layer, Variable};
///
/// let kernel = Variable::new("kernel", Type::f32([3, 2]), Group::Weight);
/// assert_eq!(Affine::new(3, 2).variables()?[0], kernel);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// The path, such as `affine/kernel/loc`.
    pub path: String,
    /// The type.
    pub ty: Type,
    /// Whether training changes it.
    pub trainable: bool,
    /// What it is to its layer.
    pub group: Group,
}

impl Variable {
    /// A parameter that training changes.
    pub fn new(path: impl Into<String>, ty: Type, group: Group) -> Variable {
        Variable { path: path.into(), ty, trainable: true, group }
    }
}

/// The parameters of a network by path, in the order their layers declare them.
///
/// ```
/// use bayeslift_layers::{Affine, Layer, Sequential};
/// let parameters = Sequential::new().layer(Affine::new(3, 2)).initialize(0)?;
/// assert_eq!(parameters.paths().collect::<Vec<_>>(), ["affine/kernel", "affine/bias"]);
/// assert_eq!(parameters.get("affine/kernel")?.tensor.shape().elements(), 6);
/// # Ok::<(), bayeslift_layers::Error>(())
/// ```
///
/// Looking at them and changing them:
///
/// ```
/// use bayeslift_ir::{DType, Tensor};
/// use bayeslift_layers::{Affine, Layer, Sequential};
///
/// let mut parameters = Sequential::new().layer(Affine::new(3, 2)).initialize(0)?;
/// assert_eq!((parameters.len(), parameters.is_empty(), parameters.float()), (2, false, DType::F32));
/// parameters.assign("affine/bias", Tensor::f32([2], [0.5, -0.5])?)?;
/// assert_eq!(parameters.nth(1).map(|bias| &bias.tensor), Some(&Tensor::f32([2], [0.5, -0.5])?));
/// let error = parameters.assign("affine/bias", Tensor::f32([3], [0.0; 3])?).unwrap_err().to_string();
/// assert!(error.contains("affine/bias") && error.contains("f32[3]"), "{error}");
///
/// assert_eq!(parameters.set_trainable(false, |path, _| path.ends_with("/bias")), 1);
/// assert!(parameters.iter().all(|(path, parameter)| parameter.trainable != path.ends_with("/bias")));
/// assert!(parameters.summary("model").ends_with("trainable size: 6  /  0.000 MiB  /  {float32: 6}"));
/// assert_eq!(parameters.variables()[0].ty.to_string(), "f32[3,2]");
///
/// parameters.get_mut("affine/bias")?.tensor = Tensor::f32([2], [0.0, f32::NAN])?;
/// assert!(parameters.check_finite().unwrap_err().to_string().contains("affine/bias"));
/// let mut copy = bayeslift_layers::Parameters::new();
/// parameters.iter_mut().try_for_each(|(path, parameter)| copy.insert(path, parameter.clone()))?;
/// assert!(copy.insert("affine/bias", parameters.get("affine/bias")?.clone()).is_err()); // it is there
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters {
    entries: Vec<(String, Parameter)>,
    index: HashMap<String, usize>,
}

impl Parameters {
    /// No parameters.
    pub fn new() -> Self {
        Parameters::default()
    }

    /// Appends a parameter.
    ///
    /// # Errors
    /// A path that exists.
    pub fn insert(&mut self, path: &str, mut parameter: Parameter) -> Result<(), Error> {
        if self.index.contains_key(path) {
            return Err(Error::DuplicateName { what: "parameters", name: path.to_owned() });
        }
        self.index.insert(path.to_owned(), self.entries.len());
        parameter.tensor.align();
        self.entries.push((path.to_owned(), parameter));
        Ok(())
    }

    /// The parameter at `path`.
    ///
    /// # Errors
    /// No such path; the message lists some that exist.
    pub fn get(&self, path: &str) -> Result<&Parameter, Error> {
        self.index.get(path).map(|&i| &self.entries[i].1).ok_or_else(|| self.unknown(path))
    }

    /// The parameter at `path`, to change it.
    ///
    /// # Errors
    /// As for [`Parameters::get`].
    pub fn get_mut(&mut self, path: &str) -> Result<&mut Parameter, Error> {
        match self.index.get(path) {
            Some(&i) => Ok(&mut self.entries[i].1),
            None => Err(self.unknown(path)),
        }
    }

    /// Replaces the value of the parameter at `path`.
    ///
    /// # Errors
    /// No such path; another type than the parameter has.
    pub fn assign(&mut self, path: &str, mut tensor: Tensor) -> Result<(), Error> {
        let parameter = self.get_mut(path)?;
        if parameter.tensor.ty() != tensor.ty() {
            let (expected, found) = (parameter.tensor.ty(), tensor.ty());
            return Err(Error::ParameterType { path: path.to_owned(), expected, found });
        }
        tensor.align();
        parameter.tensor = tensor;
        Ok(())
    }

    /// Sets the parameter at `path` so that a bijector makes this of it: a scale, say, of the raw scale that is stored.
    ///
    /// ```
    /// use bayeslift_ir::Tensor;
    /// use bayeslift_layers::{AffineVariationalReparameterizationLocal, Bijector, Layer};
    ///
    /// let layer = AffineVariationalReparameterizationLocal::new(1, 2);
    /// let mut parameters = layer.initialize(0)?;
    /// parameters.assign_through("bias/raw_scale", &Bijector::scale(), &Tensor::f32([2], [0.5, 2.0])?)?;
    /// assert_eq!(layer.bias_posterior(&parameters)?.stddev()?, Tensor::f32([2], [0.5, 2.0])?);
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Parameters::assign`]; a number that the bijector makes of none.
    pub fn assign_through(&mut self, path: &str, bijector: &Bijector, value: &Tensor) -> Result<(), Error> {
        let Some(values) = value.to_f64s() else { return self.assign(path, value.clone()) };
        let meant = |x: f64| if value.dtype() == DType::F32 { shortest(x as f32) } else { x };
        let raw: Vec<f64> = values.iter().map(|&x| bijector.inverse_of(meant(x))).collect();
        if let Some(i) = raw.iter().position(|x| !x.is_finite()) {
            let expected = format!("a number that {bijector} makes of one");
            return Err(Error::argument(&format!("element {i} of what is to be `{path}`"), expected, values[i]));
        }
        self.assign(path, Tensor::floats(&value.ty(), raw)?)
    }

    fn unknown(&self, path: &str) -> Error {
        Error::UnknownName { what: "parameter", name: path.to_owned(), known: Foreign::list(self.paths()) }
    }

    /// Whether there is a parameter at `path`.
    pub fn contains(&self, path: &str) -> bool {
        self.index.contains_key(path)
    }

    /// The type of floats of a network with these: that of the first, and `f32` of none.
    pub fn float(&self) -> DType {
        self.nth(0).map_or(DType::F32, |parameter| parameter.tensor.dtype())
    }

    /// The number of parameters, each a tensor of any shape.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The paths of the parameters, in order.
    pub fn paths(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(path, _)| path.as_str())
    }

    /// Paths and parameters, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Parameter)> {
        self.entries.iter().map(|(path, parameter)| (path.as_str(), parameter))
    }

    /// The parameter of this number, in order; `None` beyond the last.
    pub fn nth(&self, number: usize) -> Option<&Parameter> {
        self.entries.get(number).map(|(_, parameter)| parameter)
    }

    /// Paths and parameters, in order, to change them.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Parameter)> {
        self.entries.iter_mut().map(|(path, parameter)| (path.as_str(), parameter))
    }

    /// Those whose path starts with `path/`, under the rest of their path: the parameters of one layer of a network.
    ///
    /// ```
    /// use bayeslift_layers::{Affine, Layer, Sequential};
    /// let parameters = Sequential::new().layer(Affine::new(3, 2)).initialize(0)?;
    /// assert!(parameters.under("affine").contains("kernel"));
    /// # Ok::<(), bayeslift_layers::Error>(())
    /// ```
    pub fn under(&self, path: &str) -> Parameters {
        let mut inner = Parameters::new();
        for (name, parameter) in self.iter() {
            if let Some(rest) = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
                inner.insert(rest, parameter.clone()).expect("suffixes of different paths with one prefix differ");
            }
        }
        inner
    }

    /// Sets whether training changes the parameters that `choose` picks by path and group; returns how many it
    /// picked.
    pub fn set_trainable(&mut self, trainable: bool, mut choose: impl FnMut(&str, Group) -> bool) -> usize {
        let mut count = 0;
        for (path, parameter) in self.iter_mut() {
            if choose(path, parameter.group) {
                parameter.trainable = trainable;
                count += 1;
            }
        }
        count
    }

    /// What is known of each parameter but its value.
    pub fn variables(&self) -> Vec<Variable> {
        let variable = |(path, p): (&str, &Parameter)| Variable {
            path: path.to_owned(),
            ty: p.tensor.ty(),
            trainable: p.trainable,
            group: p.group,
        };
        self.iter().map(variable).collect()
    }

    /// A text table of the parameters, as TFP's `summary` prints it.
    pub fn summary(&self, name: &str) -> String {
        summary(name, &self.variables())
    }

    /// Checks that every element of every parameter is finite.
    ///
    /// # Errors
    /// The first that is not, with its path and index.
    pub fn check_finite(&self) -> Result<(), Error> {
        self.iter().try_for_each(|(path, parameter)| check_finite(path, &parameter.tensor))
    }
}

/// Checks that every element of a tensor is finite.
pub(crate) fn check_finite(path: &str, tensor: &Tensor) -> Result<(), Error> {
    match tensor.first_non_finite() {
        Some((index, value)) => Err(Error::NonFinite { path: path.to_owned(), index, value: value.to_string() }),
        None => Ok(()),
    }
}

/// A text table of variables: size, shape, whether trainable, path; below it the number of trainable elements and
/// their size.
pub(crate) fn summary(name: &str, variables: &[Variable]) -> String {
    let shape = |shape: &Shape| format!("{shape}").replace(',', ", ");
    let mut text = format!("=== {name} {}\n  SIZE SHAPE                TRAIN NAME\n", "=".repeat(50));
    for v in variables {
        let (size, trainable) = (v.ty.shape.elements(), if v.trainable { "True" } else { "False" });
        writeln!(text, "{size:>6} {:20} {trainable:>5} {}", shape(&v.ty.shape), v.path).expect("writing to a string");
    }
    let size: usize = variables.iter().filter(|v| v.trainable).map(|v| v.ty.shape.elements()).sum();
    let bytes: usize = variables.iter().filter(|v| v.trainable).map(|v| v.ty.bytes()).sum();
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    let is_double = variables.iter().any(|v| v.trainable && v.ty.dtype == DType::F64);
    let float = if is_double { "float64" } else { "float32" };
    write!(text, "trainable size: {size}  /  {mebibytes:.3} MiB  /  {{{float}: {size}}}").expect("writing to a string");
    text
}
