//! Parameters by paths: where layers declare them and find them.

use crate::{Error, Group, Initializer, Parameter, Parameters, Variable, parameters};
use bayeslift_ir::{Builder, DType, Expr, Foreign, Shape, Type, Value, noise::stream};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Where layers, posteriors and priors find their parameters: a path, and what is known under it.
///
/// Parameters have the [type of the builder's floats](Builder::float). The same code declares parameters and uses them.
/// In a scope made by [`Scope::initialize`], [`Scope::parameter`] draws an initial value; in one made by
/// [`Scope::bind`] it finds the value of that path. Both give an expression: the graph input named by the path.
///
/// ```
/// use bayeslift_ir::Builder;
/// use bayeslift_layers::{Declaration, Error, Group, Initializer, Scope};
///
/// fn declare(scope: &Scope<'_>) -> Result<(), Error> {
///     let layer = scope.child("affine");
///     assert_eq!((layer.path(), layer.path_of("kernel")), ("affine", "affine/kernel".into()));
///     layer.parameter("kernel", &[3, 2].into(), &Initializer::HeUniform)?;
///     let (shape, initializer, group) = (&[2].into(), &Initializer::Zeros, Group::Statistic);
///     let mean = Declaration { shape, initializer, batch_ndims: 0, trainable: false, group };
///     layer.declare_parameter("mean", &mean).map(drop)
/// }
///
/// let builder = Builder::new();
/// let new = Scope::initialize(&builder, 42); // or `Scope::describe`, which draws nothing
/// declare(&new)?;
/// assert_eq!(new.variables()[1].path, "affine/mean");
/// assert!(declare(&new).is_err()); // they are there
///
/// // a graph that uses them
/// let (builder, parameters) = (Builder::new(), new.parameters());
/// let scope = Scope::bind(&builder, &parameters)?;
/// declare(&scope)?;
/// assert_eq!(scope.child("affine").existing("kernel")?.ty(), parameters.get("affine/kernel")?.tensor.ty());
/// assert!(scope.builder().check().is_ok() && scope.expr("affine/bias").is_none());
/// scope.substitute("affine/mean", builder.constant(0.0).broadcast(&[2].into())); // what layers find from here on
///
/// // a graph that computes them
/// let builder = Builder::new();
/// let zeros = builder.constant(0.0).broadcast(&[3, 2].into());
/// let scope = Scope::bind_exprs(&builder, [("affine/kernel".to_owned(), zeros)]);
/// assert!(scope.validating(true).child("affine").parameter("kernel", &[3, 2].into(), &Initializer::Zeros).is_ok());
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Scope<'b> {
    builder: &'b Builder,
    path: String,
    validate: bool,
    store: Rc<RefCell<Store<'b>>>,
}

#[derive(Debug)]
struct Store<'b> {
    mode: Mode,
    declared: HashSet<String>,
    exprs: HashMap<String, Expr<'b>>,
    variables: Vec<Variable>,
    parameters: Parameters,
    /// For each bound parameter with an element that is not finite, what a validating scope says.
    non_finite: HashMap<String, Error>,
}

#[derive(Debug, PartialEq)]
enum Mode {
    /// Parameters are new; their initial values are drawn with this seed.
    Initialize(u64),
    /// Parameters are new; only their types matter.
    Describe,
    /// Parameters exist.
    Bind,
}

/// A parameter to declare; see [`Scope::declare_parameter`].
#[derive(Clone, Debug)]
pub struct Declaration<'a> {
    /// The shape.
    pub shape: &'a Shape,
    /// The law of the initial value.
    pub initializer: &'a Initializer,
    /// The number of leading axes of the shape that count independent tensors; they do not enter the initializer's
    /// fans.
    pub batch_ndims: usize,
    /// Whether training changes it.
    pub trainable: bool,
    /// What it is to its layer.
    pub group: Group,
}

impl<'b> Scope<'b> {
    fn new(builder: &'b Builder, mode: Mode) -> Self {
        let store = Store {
            mode,
            declared: HashSet::new(),
            exprs: HashMap::new(),
            variables: Vec::new(),
            parameters: Parameters::new(),
            non_finite: HashMap::new(),
        };
        Scope { builder, path: String::new(), validate: false, store: Rc::new(RefCell::new(store)) }
    }

    /// A scope in which parameters are new and get initial values, drawn at addresses made of `seed` and their paths.
    pub fn initialize(builder: &'b Builder, seed: u64) -> Self {
        Scope::new(builder, Mode::Initialize(seed))
    }

    /// A scope in which parameters are new and only their types matter.
    pub fn describe(builder: &'b Builder) -> Self {
        Scope::new(builder, Mode::Describe)
    }

    /// A scope in which parameters exist. Each becomes a graph input named by its path, in the order of `parameters`.
    ///
    /// # Errors
    /// Names or types that the graph refuses, such as an input that exists.
    pub fn bind(builder: &'b Builder, parameters: &Parameters) -> Result<Self, Error> {
        let scope = Scope::new(builder, Mode::Bind);
        {
            let mut store = scope.store.borrow_mut();
            for (path, parameter) in parameters.iter() {
                let input = builder.scoped(path, || builder.input(path, parameter.tensor.ty()));
                store.exprs.insert(path.to_owned(), input);
                if let Err(error) = parameters::check_finite(path, &parameter.tensor) {
                    store.non_finite.insert(path.to_owned(), error);
                }
            }
        }
        builder.check()?;
        Ok(scope)
    }

    /// A scope in which parameters are given expressions, for a graph that computes its parameters.
    pub fn bind_exprs(builder: &'b Builder, exprs: impl IntoIterator<Item = (String, Expr<'b>)>) -> Self {
        let scope = Scope::new(builder, Mode::Bind);
        scope.store.borrow_mut().exprs.extend(exprs);
        scope
    }

    /// The builder of the graph.
    pub fn builder(&self) -> &'b Builder {
        self.builder
    }

    /// The path: names from the outside in, joined by `/`; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of `name` in this scope.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) }
    }

    /// The scope `name` in this one.
    pub fn child(&self, name: &str) -> Scope<'b> {
        Scope { path: self.path_of(name), ..self.clone() }
    }

    /// This scope, in which the elements of every parameter must be finite if `validate` is set.
    pub fn validating(&self, validate: bool) -> Scope<'b> {
        Scope { validate: self.validate || validate, ..self.clone() }
    }

    /// Checks that a layer which was told an element type is in a network of that type.
    pub(crate) fn check_dtype(&self, dtype: Option<DType>) -> Result<(), Error> {
        let float = self.builder.float();
        match dtype {
            Some(dtype) if !dtype.is_float() => Err(Error::argument("dtype", "f32 or f64", dtype)),
            Some(dtype) if dtype != float => {
                let problem = format!("the layer's dtype is {dtype}, and the network is of {float}");
                Err(Error::misuse(problem, "give one to all layers, by that of the `Sequential` around them"))
            }
            _ => Ok(()),
        }
    }

    /// A trainable weight of this scope, declared or found; see [`Scope::declare_parameter`].
    ///
    /// # Errors
    /// As for [`Scope::declare_parameter`].
    pub fn parameter(&self, name: &str, shape: &Shape, initializer: &Initializer) -> Result<Expr<'b>, Error> {
        let group = Group::Weight;
        self.declare_parameter(name, &Declaration { shape, initializer, batch_ndims: 0, trainable: true, group })
    }

    /// A parameter of this scope: in a declaring scope it gets its initial value, in a binding scope it is found.
    ///
    /// # Errors
    /// Declaring: a path that exists, a shape of extent 0, an initializer's error. Binding: a path that does not
    /// exist, another shape than declared, or - where validating - an element that is not finite.
    pub fn declare_parameter(&self, name: &str, declaration: &Declaration<'_>) -> Result<Expr<'b>, Error> {
        let path = self.path_of(name);
        let ty = Type::new(self.builder.float(), declaration.shape.clone());
        ty.check()?;
        if self.store.borrow().mode == Mode::Bind {
            return self.bound(&path, &ty);
        }
        let mut store = self.store.borrow_mut();
        if !store.declared.insert(path.clone()) {
            return Err(Error::DuplicateName { what: "parameters", name: path });
        }
        let Declaration { trainable, group, .. } = *declaration;
        if let Mode::Initialize(seed) = store.mode {
            let tensor =
                declaration.initializer.initial(seed, stream(&path, "initial"), &ty, declaration.batch_ndims)?;
            if self.validate {
                parameters::check_finite(&path, &tensor)?;
            }
            store.parameters.insert(&path, Parameter { tensor, trainable, group })?;
        }
        let expr = self.builder.input(&path, ty.clone());
        store.exprs.insert(path.clone(), expr);
        store.variables.push(Variable { path, ty, trainable, group });
        self.builder.check()?;
        Ok(expr)
    }

    fn bound(&self, path: &str, expected: &Type) -> Result<Expr<'b>, Error> {
        let expr = self.at(path)?;
        let store = self.store.borrow();
        let found = expr.ty();
        if found != *expected {
            return Err(Error::ParameterType { path: path.to_owned(), expected: expected.clone(), found });
        }
        match store.non_finite.get(path) {
            Some(error) if self.validate => Err(error.clone()),
            _ => Ok(expr),
        }
    }

    fn at(&self, path: &str) -> Result<Expr<'b>, Error> {
        let store = self.store.borrow();
        store.exprs.get(path).copied().ok_or_else(|| {
            let mut known: Vec<&str> = store.exprs.keys().map(String::as_str).collect();
            known.sort_unstable();
            Error::UnknownName { what: "parameter", name: path.to_owned(), known: Foreign::list(known) }
        })
    }

    /// A parameter of this scope that was declared or bound before.
    ///
    /// # Errors
    /// No such parameter; the message lists some that exist.
    pub fn existing(&self, name: &str) -> Result<Expr<'b>, Error> {
        self.at(&self.path_of(name))
    }

    /// The expression of the parameter at a full path, wherever this scope stands.
    pub fn expr(&self, path: &str) -> Option<Expr<'b>> {
        self.store.borrow().exprs.get(path).copied()
    }

    /// What layers find as parameters, in every scope that shares this one's.
    pub(crate) fn bound_values(&self) -> HashSet<Value> {
        self.store.borrow().exprs.values().map(|expr| expr.value()).collect()
    }

    /// Lets layers find this in the place of the parameter at a full path, in every scope that shares this one's
    /// parameters: a value of it that was drawn, for instance.
    pub fn substitute(&self, path: &str, value: Expr<'b>) {
        self.store.borrow_mut().exprs.insert(path.to_owned(), value);
    }

    /// The parameters initialized so far.
    pub fn parameters(&self) -> Parameters {
        self.store.borrow().parameters.clone()
    }

    /// What was declared so far.
    pub fn variables(&self) -> Vec<Variable> {
        self.store.borrow().variables.clone()
    }
}
