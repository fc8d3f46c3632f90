//! A file that a network of TFP was saved to, and what the network predicts.

use super::*;

impl Case {
    /// The parameters that a file of TFP sets, in its order; saved again they are the same.
    pub(super) fn saved_model(&self) -> Fallible<Vec<Measured>> {
        let network = saved_network(&self.folder)?;
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden_copy.npz");
        network.save_tfp(&copy)?;
        let copied = npz::read(&copy)?;
        let mut errors = Vec::new();
        for (i, (path, parameter)) in network.parameters().iter().enumerate() {
            let name = format!("arr_{i}");
            let (want, copy) = (&self.array(&name)?.values, copied.get(&name).ok_or("a file of fewer arrays")?);
            errors.push(Measured::new(path, floats(&parameter.tensor)?.into_iter(), want)?);
            errors.push(Measured::new(format!("{path} again"), copy.values.iter().copied(), want)?);
        }
        Ok(errors)
    }

    /// The outputs of the saved network's posterior mean.
    pub(super) fn mean_prediction(&self) -> Fallible<Vec<Measured>> {
        let options = PredictorOptions::default().posterior_value(PosteriorValue::Mean).samples(1);
        let predictor = Predictor::with_options(&saved_network(&self.folder)?, &options)?;
        let x: Vec<f32> = self.array("x")?.values.iter().map(|&x| x as f32).collect();
        let prediction = predictor.regress(&x)?;
        let found = prediction.mean().iter().map(|&y| f64::from(y));
        Ok(vec![Measured::new("y", found, &self.array("y")?.values)?])
    }
}

/// The network of `tfp_saved_model`, with the parameters of its file: a convolution with steps of 2 over half as many
/// positions, then a dense layer. Sizes are those of the file's arrays.
fn saved_network(folder: &Path) -> Fallible<Network> {
    let path = folder.join("tfp_saved_model.npz");
    let arrays = npz::read(&path)?;
    let shape = |name: &str| arrays.get(name).map(|array| array.shape.as_slice()).ok_or(format!("no {name}"));
    let (&[height, width, channels, filters], &[features, outputs]) = (shape("arr_0")?, shape("arr_4")?) else {
        return Err("a convolution with two axes and a dense layer were expected".into());
    };
    let extent = 2 * (features / filters).isqrt();
    let convolution = ConvolutionVariationalReparameterization::new(channels, filters, [height, width])
        .strides(2)
        .padding(Padding::Same)
        .activation(Activation::LeakyRelu);
    let layers = Sequential::new()
        .layer(convolution)
        .layer(Flatten)
        .layer(AffineVariationalReparameterizationLocal::new(features, outputs));
    let mut network = Network::new(layers, [extent, extent, channels], likelihood::Normal::fixed(1.0), 0)?;
    network.load_tfp(path)?;
    Ok(network)
}
