//! The text form: what is printed reads back equal, and no text makes the reader panic.

use bayeslift_ir::{
    Builder, Error, Graph, MAX_NODES, Type, Value,
    arbitrary::{config, graph_and_inputs},
    verify,
};
use proptest::prelude::*;

/// Prints and reads back.
#[track_caller]
fn check_round_trip(graph: &Graph) {
    let text = graph.to_string();
    let read: Graph = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&read, graph, "{text}");
    assert_eq!(read.to_string(), text);
    // and with where values come from
    let text = format!("{graph:#}");
    let read: Graph = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&read, graph, "{text}");
    assert!(graph.values().all(|value| read.origin(value) == graph.origin(value)), "{text}");
}

#[test]
fn values_tell_where_they_come_from() {
    let b = Builder::new();
    let x = b.scoped("a \"scope\"", || b.input("x", Type::f32([2])));
    let y = b.scoped("layer", || b.scoped("inner", || x.exp()));
    let gradient = b.graph().origin(y.value()).gradient();
    let z = b.from_origin(gradient, || y * 2.0);
    b.output("z", z.abs());
    let graph = b.finish().unwrap();
    let expected = "graph {\n  %0 = input \"x\" : f32[2] from \"a \\\"scope\\\"\"\n  \
                    %1 = exp %0 : f32[2] from \"layer/inner\"\n  \
                    %2 = constant 2.0 : f32[] from gradient \"layer/inner\"\n  \
                    %3 = broadcast %2 : f32[2] from gradient \"layer/inner\"\n  \
                    %4 = mul %1 %3 : f32[2] from gradient \"layer/inner\"\n  %5 = abs %4 : f32[2]\n  \
                    output \"z\" = %5\n}\n";
    assert_eq!(format!("{graph:#}"), expected);
    assert!(!graph.to_string().contains("from"));
    check_round_trip(&graph);
    let error = "graph { %0 = input \"x\" : f32[2] from layer }".parse::<Graph>().unwrap_err().to_string();
    assert!(error.contains("expected a scope in quotes"), "{error}");
}

/// A change of a text at a place chosen modulo its length.
#[derive(Clone, Debug)]
enum Mutation {
    Remove(usize, usize),
    Insert(usize, String),
    Replace(usize, char),
    SwapLines(usize, usize),
    Truncate(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = any::<usize>();
    let piece = prop::sample::select(&[
        "%",
        "%0",
        "%99999999999",
        "=",
        "[",
        "]",
        ",",
        "\"",
        "\\",
        "{",
        "}",
        "0x",
        "-",
        "99999999999999999999",
        "1e999",
        "f32[0]",
        "f32[18446744073709551615]",
        "u32[]",
        "axis=",
        "axis=7",
        "permutation=[0,0]",
        "\n",
        ";",
        "nan",
        "é",
        "\0",
        "output",
        "from",
        "gradient",
        "input",
        "sum",
        "stream=0xffffffffffffffff",
        "sample_axis=1",
        " updates %0",
    ]);
    prop_oneof![
        (place, 1..40usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (place, piece).prop_map(|(at, piece)| Mutation::Insert(at, piece.to_owned())),
        (place, any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, c)),
        (place, any::<char>()).prop_map(|(at, c)| Mutation::Replace(at, char::from(c as u32 as u8 & 0x7f))),
        (place, place).prop_map(|(a, b)| Mutation::SwapLines(a, b)),
        place.prop_map(Mutation::Truncate),
    ]
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let n = chars.len().max(1);
    match mutation {
        Mutation::Remove(at, count) => {
            let start = (at % n).min(chars.len());
            chars.drain(start..(start + count).min(chars.len()));
        }
        Mutation::Insert(at, piece) => {
            let start = (at % n).min(chars.len());
            chars.splice(start..start, piece.chars());
        }
        Mutation::Replace(at, c) => chars.iter_mut().skip(at % n).take(1).for_each(|old| *old = *c),
        Mutation::SwapLines(a, b) => {
            let mut lines: Vec<&str> = text.split('\n').collect();
            let count = lines.len();
            lines.swap(a % count, b % count);
            return lines.join("\n");
        }
        Mutation::Truncate(at) => chars.truncate(at % n),
    }
    chars.into_iter().collect()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn round_trip((graph, _) in graph_and_inputs()) {
        check_round_trip(&graph);
    }

    #[test]
    fn mutated_text_is_an_error_or_a_graph(
        (graph, _) in graph_and_inputs(),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let text = mutations.iter().fold(graph.to_string(), |text, mutation| mutate(&text, mutation));
        match text.parse::<Graph>() {
            Ok(graph) => {
                prop_assert!(matches!(verify(&graph), Ok(()) | Err(Error::StreamCollision { .. })), "{text}");
                check_round_trip(&graph);
            }
            Err(Error::Parse { line, .. }) => prop_assert!((1..=text.lines().count() + 1).contains(&line)),
            Err(Error::In { scope, .. }) => prop_assert!(scope.starts_with("line ")),
            Err(error) => prop_assert!(false, "{error}"),
        }
    }

    #[test]
    fn any_text_is_an_error_or_a_graph(text in "\\PC*") {
        let _ = text.parse::<Graph>();
    }
}

#[test]
fn constants_keep_their_bits() {
    let b = Builder::new();
    let words = [0, 0x8000_0000, 1, 0x007f_ffff, 0x7f7f_ffff, 0x7f80_0000, 0xff80_0000, 0x3dcc_cccd, 0x4b80_0001];
    for (i, &bits) in words.iter().enumerate() {
        b.output(&i.to_string(), b.constant(f32::from_bits(bits)));
    }
    b.output("not a number", b.constant(-f32::NAN));
    b.output("whole", b.constant_u32(u32::MAX));
    check_round_trip(&b.finish().unwrap());
}

#[test]
fn names_may_hold_anything() {
    let b = Builder::new();
    for name in ["", " ", "\"", "\\", "a\nb\r\t\0", "größe \u{301}", "; %0 = {}", "\u{7f}\u{85}\u{2028}"] {
        b.output(name, b.input(name, Type::f32([])));
    }
    check_round_trip(&b.finish().unwrap());
}

#[test]
fn numbers_and_spacing_are_free() {
    let text = "graph{%7=input\"x\":f32[2 ,3];comment\n%007=input\"y\":f32[]%4294967295=exp%7:f32[2,3]output\"z\"=%4294967295}";
    let error = text.parse::<Graph>().unwrap_err();
    assert_eq!(error.to_string(), "line 2: expected a value not defined above, found %7");
    let graph: Graph = text.replace("%007", "%8").parse().unwrap();
    assert_eq!(graph.to_string().lines().count(), 6);
}

#[test]
fn equal_nodes_become_one() {
    let text = "graph { %0 = iota : u32[3] %1 = iota : u32[3] %2 = equal %0 %1 : mask[3] }";
    let graph: Graph = text.parse().unwrap();
    let zero: Vec<Value> = graph.values().take(1).collect();
    assert_eq!(graph.nodes().len(), 2);
    assert_eq!(graph.nodes()[1].args.as_slice(), [zero[0], zero[0]]);
}

#[test]
fn hostile_texts_are_typed_errors() {
    let deep = format!("graph {{ {}", "[".repeat(1 << 20));
    let long = format!("graph {{ %0 = {} : f32[]", "x".repeat(1 << 20));
    let wide = format!("graph {{ %0 = iota : u32[{}]", "1,".repeat(1 << 18));
    let many = format!("graph {{ %0 = input \"x\" : f32[{}] }}", ["1"; 1000].join(","));
    for text in [
        &deep,
        &long,
        &wide,
        &many,
        "",
        "graph",
        "graph {",
        "graph { }}",
        "%",
        "\"",
        "graph { %0 = input \"",
        "graph { %0 = input \"x\" axis=7 : f32[2] }",
    ] {
        let message = text.parse::<Graph>().unwrap_err().to_string();
        assert!(message.len() < 200, "{message:.200}");
    }
}

#[test]
fn too_many_nodes_are_a_typed_error() {
    let mut text = String::from("graph {\n");
    for i in 0..=MAX_NODES {
        text.push_str(&format!("%{i} = constant {i} : u32[]\n"));
    }
    let error = text.parse::<Graph>().unwrap_err();
    let limit = Error::TooLarge { what: "nodes of a graph", size: MAX_NODES as u64 + 1, limit: MAX_NODES as u64 };
    assert_eq!(error, limit.within(&format!("line {}", MAX_NODES + 2)));
}
