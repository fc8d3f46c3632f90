//! One layer of a file, for one layer of another network.

#[allow(dead_code)]
mod files;

use bayeslift::prelude::*;
use files::folder;

fn dense(input: usize, output: usize) -> AffineVariationalReparameterizationLocal {
    AffineVariationalReparameterizationLocal::new(input, output)
}

fn classes(layers: Sequential, seed: u64) -> Network {
    Network::new(layers, [4], likelihood::Categorical, seed).unwrap()
}

#[test]
fn a_layer_is_loaded_from_a_file_that_has_it() {
    let path = folder("layer_files").join("model.safetensors");
    let trained = classes(Sequential::new().layer(Affine::new(4, 8)).layer(dense(8, 3)), 1);
    trained.save(&path).unwrap();
    let inner = Sequential::new().layer(dense(8, 3)).name("head");
    let mut network = classes(Sequential::new().layer(Affine::new(4, 8).name("body")).layer(inner), 2);
    network.parameters_mut().set_trainable(false, |path, _| path.starts_with("body"));
    let before = network.clone();

    network.load_layer("head/affine", &path, "affine_1").unwrap();
    assert_eq!(network.parameters().under("head/affine"), trained.parameters().under("affine_1"));
    assert_eq!(network.parameters().under("body"), before.parameters().under("body"));
    network.load_layer("body", &path, "affine").unwrap();
    let tensors = |network: &Network, layer: &str| {
        network.parameters().under(layer).iter().map(|(_, parameter)| parameter.tensor.clone()).collect::<Vec<_>>()
    };
    assert_eq!(tensors(&network, "body"), tensors(&trained, "affine"));
    // what is trainable is the network's own matter
    assert!(!network.parameters().get("body/kernel").unwrap().trainable);
    // a layer alone is a network of it
    let alone = folder("layer_alone").join("layer.safetensors");
    Network::new(dense(8, 3), [8], likelihood::Categorical, 7).unwrap().save(&alone).unwrap();
    network.load_layer("head/affine", &alone, "").unwrap();
    assert_ne!(network.parameters().under("head/affine"), trained.parameters().under("affine_1"));
}

#[test]
fn other_layers_are_refused_and_change_nothing() {
    let path = folder("other_layers").join("model.safetensors");
    let scale = Posterior::new(|scope, shape| {
        shape.each(scope, |scope, shape, initializer| {
            let loc = scope.parameter("loc", shape, initializer)?;
            let raw = scope.parameter("raw_scale", shape, &Initializer::Constant(0.0))?;
            Ok(bayeslift::layers::distribution::Normal::new(loc, raw.exp()).into())
        })
    });
    let layers =
        Sequential::new().layer(dense(4, 8).posterior_maker(scale)).layer(dense(8, 3)).layer(Affine::new(3, 3));
    classes(layers, 1).save(&path).unwrap();
    let network = classes(Sequential::new().layer(dense(4, 8)).layer(dense(8, 3)), 2);
    let refusal = |layer: &str, of_file: &str| {
        let mut other = network.clone();
        let error = other.load_layer(layer, &path, of_file).unwrap_err().to_string();
        assert_eq!(other.parameters(), network.parameters());
        error
    };
    // two of one name, made of their parameters in other ways
    let error = refusal("affine", "affine");
    assert!(
        error.contains("a posterior of its layer is Normal(loc = kernel/loc, scale = exp(kernel/raw_scale))"),
        "{error}"
    );
    let error = refusal("affine_1", "affine_2");
    assert!(error.contains("its layer `affine_2` has the parameters kernel, bias, expected kernel/loc"), "{error}");
    let error = refusal("affine", "affine_1");
    assert!(error.contains("its parameter `kernel/loc` has type f32[8,3], expected f32[4,8]"), "{error}");
    assert!(refusal("affine_1", "nothing").contains("its layer `nothing` has the parameters"));
    assert!(refusal("nothing", "affine").starts_with("the layer to load is `nothing`"));
}
