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
            .use_bias(self.arrays.contains_key("bias"));
        self.of_layer(b, &layer)
    }

    pub(super) fn convolution_transpose<'b>(&self, b: &'b Builder) -> Fallible<Computed<'b>> {
        let (inputs, outputs, padding) = self.channels_and_padding()?;
        let layer = ConvolutionTranspose::new(inputs, outputs, self.sizes("filter_shape")?)
            .strides(self.sizes("strides")?)
            .dilations(self.sizes("dilations")?)
            .padding(padding)
            .use_bias(self.arrays.contains_key("bias"));
        self.of_layer(b, &layer)
    }

    /// The layer itself, with its batch shape.
    pub(super) fn affine(&self, b: &Builder) -> Fallible<Vec<Measured>> {
        let kernel = &self.array("kernel")?.shape;
        let batch: Vec<usize> = kernel[..kernel.len() - 2].to_vec();
        let layer = Affine::new(kernel[kernel.len() - 2], kernel[kernel.len() - 1])
            .batch_shape(batch.as_slice())
            .use_bias(self.arrays.contains_key("bias"));
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
}
