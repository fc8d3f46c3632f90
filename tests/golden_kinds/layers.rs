//! Layers: outputs, and gradients of their scalar products with given numbers.

use super::*;

impl Case {
    pub(super) fn affine_local<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (x, kernel) = (self.input(b, "x")?, self.normal(b, "kernel")?);
        let bias = self.bias(b)?.map(LocalBias::Normal);
        let y = local_affine(x, &kernel, bias, self.input(b, "eps")?);
        Ok(Computed { name: "y", value: self.activation()?.apply(y) })
    }

    pub(super) fn affine_reparameterization<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (x, kernel) = (self.input(b, "x")?, self.normal(b, "kernel")?);
        let kernel = kernel.transform(self.input(b, "eps_kernel")?).value;
        let bias = match self.bias(b)? {
            Some(bias) => Some(bias.transform(self.input(b, "eps_bias")?).value),
            None => None,
        };
        Ok(Computed { name: "y", value: self.activation()?.apply(affine(x, kernel, bias)) })
    }

    /// TFP draws the bias once for all examples.
    pub(super) fn affine_flipout<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (x, kernel) = (self.input(b, "x")?, self.normal(b, "kernel")?);
        let bias = match self.bias(b)? {
            Some(bias) => Some(FlipoutBias::Value(bias.transform(self.input(b, "eps_bias")?).value)),
            None => None,
        };
        let signs = Signs { input: self.input(b, "sign_input")?, output: self.input(b, "sign_output")? };
        let y = flipout_output(&MatrixProduct, x, &kernel, self.input(b, "eps_kernel")?, bias, &signs);
        Ok(Computed { name: "y", value: self.activation()?.apply(y) })
    }

    /// The output of a layer without randomness on `x`, with the parameters `kernel` and `bias`.
    fn of_layer<'b>(&self, b: &'b Builder, layer: &impl Layer) -> Fallible<Computed<'b>> {
        let mut parameters = vec![("kernel".to_owned(), self.input(b, "kernel")?)];
        parameters.extend(self.optional(b, "bias")?.map(|bias| ("bias".to_owned(), bias)));
        let context = Context::new(Scope::bind_exprs(b, parameters));
        Ok(Computed { name: "y", value: layer.call(&context, self.input(b, "x")?)?.output })
    }

    fn sizes(&self, option: &str) -> Fallible<PerAxis> {
        Ok(serde_json::from_value::<Vec<usize>>(self.option(option).clone())?.into())
    }

    /// The number of input and of output channels, and the padding.
    fn channels_and_padding(&self) -> Fallible<(usize, usize, Padding)> {
        let kernel = &self.array("kernel")?.shape;
        let padding = self.option("padding").as_str().and_then(Padding::from_name).ok_or("no padding")?;
        Ok((kernel[kernel.len() - 2], kernel[kernel.len() - 1], padding))
    }

    pub(super) fn convolution<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (inputs, outputs, padding) = self.channels_and_padding()?;
        let layer = Convolution::new(inputs, outputs, self.sizes("filter_shape")?)
            .strides(self.sizes("strides")?)
            .dilations(self.sizes("dilations")?)
            .padding(padding)
            .use_bias(self.arrays.contains_key("bias"))
            .dtype(self.dtype);
        self.of_layer(b, &layer)
    }

    pub(super) fn convolution_transpose<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (inputs, outputs, padding) = self.channels_and_padding()?;
        let layer = ConvolutionTranspose::new(inputs, outputs, self.sizes("filter_shape")?)
            .strides(self.sizes("strides")?)
            .dilations(self.sizes("dilations")?)
            .padding(padding)
            .use_bias(self.arrays.contains_key("bias"))
            .dtype(self.dtype);
        self.of_layer(b, &layer)
    }

    /// The layer itself, with its batch shape.
    pub(super) fn affine(&self, b: &Builder) -> Fallible<Vec<Measured>> {
        let kernel = &self.array("kernel")?.shape;
        let batch: Vec<usize> = kernel[..kernel.len() - 2].to_vec();
        let layer = Affine::new(kernel[kernel.len() - 2], kernel[kernel.len() - 1])
            .batch_shape(batch.as_slice())
            .use_bias(self.arrays.contains_key("bias"))
            .dtype(self.dtype);
        let mut parameters = layer.initialize(0)?;
        for name in ["kernel", "bias"] {
            if self.arrays.contains_key(name) {
                parameters.assign(name, self.tensor(name)?)?;
            }
        }
        let context = Context::new(Scope::bind(b, &parameters)?);
        b.output("y", layer.call(&context, self.input(b, "x")?)?.output);
        let graph = b.graph().clone();
        self.compare(graph)
    }

    /// The same case by the layer itself, whose noise is what the arrays say: its outputs and gradients.
    pub(super) fn by_layer(&self) -> Fallible<Vec<Measured>> {
        let [inputs, outputs] = self.array("kernel_loc")?.shape[..] else { return Err("no matrix".into()) };
        let activation = self.activation()?;
        // the order in which a layer draws
        match self.kind.as_str() {
            "affine_local" => {
                let layer = AffineVariationalReparameterizationLocal::new(inputs, outputs)
                    .dtype(self.dtype)
                    .activation(activation);
                self.of_noisy_layer(&layer, &["eps"])
            }
            "affine_reparameterization" => {
                let layer =
                    AffineVariationalReparameterization::new(inputs, outputs).dtype(self.dtype).activation(activation);
                self.of_noisy_layer(&layer, &["eps_kernel", "eps_bias"])
            }
            _ => {
                // TFP draws the bias once for all examples, where this layer would flip it for each
                let layer = AffineVariationalFlipout::new(inputs, outputs).dtype(self.dtype).activation(activation);
                let layer = layer.unpack_weights(|weights| {
                    let bias = weights.bias.and_then(|bias| bias.as_normal()).map(|bias| {
                        let noise = bias.loc.builder().input("eps_bias", bias.loc.ty());
                        Deterministic { loc: bias.transform(noise).value }.into()
                    });
                    Ok(KernelBias { bias, ..weights })
                });
                self.of_noisy_layer(&layer, &["eps_kernel", "sign_input", "sign_output"])
            }
        }
    }

    fn of_noisy_layer(&self, layer: &impl Layer, noise: &[&str]) -> Fallible<Vec<Measured>> {
        let builder = Builder::of(self.dtype);
        let b = &builder;
        let names = ["kernel_loc", "kernel_raw_scale", "bias_loc", "bias_raw_scale"];
        let paths = ["kernel/loc", "kernel/raw_scale", "bias/loc", "bias/raw_scale"];
        let parameters: Vec<Expr<'_>> = names.iter().map(|name| self.input(b, name)).collect::<Fallible<_>>()?;
        let bound: Vec<_> = paths.iter().map(|path| path.to_string()).zip(parameters.iter().copied()).collect();
        let context = Context::new(Scope::bind_exprs(b, bound)).noise(noise_inputs(b));
        let (x, c) = (self.input(b, "x")?, self.input(b, "c")?);
        let y = layer.call(&context, x)?.output;
        b.output("y", y);
        let at: Vec<Expr<'_>> = [x].into_iter().chain(parameters).collect();
        for (name, gradient) in ["x"].iter().chain(&names).zip(gradients((y * c).sum_all(), &at)) {
            b.output(&format!("d_{name}"), gradient);
        }
        let graph = with_noise(&builder.finish()?, noise)?;
        self.compare(graph)
    }
}

/// The graph whose noise is given, in the order of its draws that are read, by inputs of these names.
fn with_noise(graph: &Graph, names: &[&str]) -> Fallible<Graph> {
    let mut to = Graph::new();
    let mut made: Vec<Option<Value>> = vec![None; graph.nodes().len()];
    let live = graph.live();
    let mut names = names.iter();
    for value in graph.values().filter(|value| live[value.index()]) {
        let node = graph.node(value);
        let new = match &node.op {
            Op::Input(i) if graph.inputs()[*i as usize].name.starts_with("noise/") => continue,
            Op::Input(i) => to.input(&graph.inputs()[*i as usize].name, node.ty.clone())?,
            Op::Noise(_) => to.input(names.next().ok_or("more noise than the case has")?, node.ty.clone())?,
            op => {
                let args = node.args.iter().map(|arg| made[arg.index()].ok_or("an operand of noise"));
                to.push(op.clone(), &args.collect::<Result<Vec<_>, _>>()?)?
            }
        };
        made[value.index()] = Some(new);
    }
    if names.next().is_some() {
        return Err("less noise than the case has".into());
    }
    for output in graph.outputs() {
        to.output(&output.name, made[output.value.index()].ok_or("an output of noise")?)?;
    }
    Ok(to)
}
