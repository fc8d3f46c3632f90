//! How C declares the functions of a package: said once, for the header and for what is made in C.

use super::{Weights, element::Element};
use bayeslift_codegen::emit::c::Signature;

/// A function that others call.
#[derive(Clone, Debug)]
pub struct Prototype {
    /// Its whole name.
    pub name: String,
    pub signature: Signature,
}

impl Prototype {
    /// With parameters as C has them, such as `const float *inputs`.
    pub fn new(name: String, result: &str, parameters: &[&str]) -> Prototype {
        let parameters = parameters.iter().map(|parameter| {
            let at = parameter.rfind([' ', '*']).map_or(0, |at| at + 1);
            (parameter[..at].to_owned(), parameter[at..].to_owned())
        });
        Prototype { name, signature: Signature { result: result.to_owned(), parameters: parameters.collect() } }
    }

    /// As a header declares it, on one line or on several.
    pub fn declared(&self) -> String {
        const WIDEST: usize = 110;
        let Signature { result, parameters } = &self.signature;
        let parameters: Vec<String> = parameters.iter().map(|(ty, name)| format!("{ty}{name}")).collect();
        let list = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
        let line = format!("{result}{}({list});", self.name);
        if line.len() <= WIDEST {
            return line;
        }
        let half = parameters.len() / 2 + 1;
        let indent = " ".repeat(result.len() + self.name.len() + 1);
        let (first, rest) = (parameters[..half].join(", "), parameters[half..].join(", "));
        format!("{result}{}({first},\n{indent}{rest});", self.name)
    }
}

/// The functions of a network or an ensemble of this name, by their names without it.
pub fn of_network(name: &str, element: Element, weights: Weights) -> impl Fn(&str) -> Prototype {
    let (name, inputs) = (name.to_owned(), format!("const {} *inputs", element.c));
    move |function| {
        let request = format!("const {name}_request *request");
        let result = format!("const {name}_result *result");
        let (rows, state, workspace) = ("size_t rows", "void *state", "void *workspace");
        let of_weights: &[&str] = if weights == Weights::File { &["const void *weights", "size_t bytes"] } else { &[] };
        let information = format!("const {name}_information *");
        let (ty, parameters): (&str, Vec<&str>) = match function {
            "init" => ("int ", [&[workspace][..], of_weights].concat()),
            "init_isa" => ("int ", [&[workspace, "uint64_t level"][..], of_weights].concat()),
            "predict" => ("int ", vec![&request, &inputs, rows, &result, workspace]),
            "decide" => {
                let decision = format!("const {name}_decision *decision");
                return Prototype::new(
                    format!("{name}_decide"),
                    "int ",
                    &[&request, &inputs, rows, &result, &decision, workspace],
                );
            }
            "begin" => ("int ", vec![&request, rows, state]),
            "add" => ("int ", vec!["uint32_t samples", &inputs, rows, state, workspace]),
            "finish" => ("int ", vec![&result, state, workspace]),
            "self_test" => ("int ", vec![workspace]),
            "info" => (&information, vec![]),
            other => unreachable!("`{other}` is no function of a network"),
        };
        Prototype::new(format!("{name}_{function}"), ty, &parameters)
    }
}
