//! Optimizers against their formulas in f64.

use bayeslift_ir::{Builder, Tensor, Type, evaluate};
use bayeslift_layers::{Adam, AdamW, Group, Optimizer, RmsProp, Sgd, Step, Variable};

const RATE: f64 = 0.02;
const STEPS: u64 = 6;

/// A parameter, and what an optimizer keeps of it.
type Numbers = [f64; 4];

/// An optimizer, the paths of what it keeps, and its step number t with a gradient.
type Case = (Box<dyn Optimizer>, &'static [&'static str], fn(&mut Numbers, f64, i32));

fn cases() -> Vec<Case> {
    vec![
        (Box::new(Adam { beta_1: 0.8, ..Adam::new(RATE) }), &["adam/w/m", "adam/w/v"], |[p, m, v, _], g, t| {
            *m = 0.8 * *m + 0.2 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let (mean, square) = (*m / (1.0 - 0.8_f64.powi(t)), *v / (1.0 - 0.999_f64.powi(t)));
            // Keras's epsilon is added to the uncorrected root.
            *p -= RATE * mean / (square.sqrt() + 1e-7 / (1.0 - 0.999_f64.powi(t)).sqrt());
        }),
        // where its epsilon is matters once it is not small
        (Box::new(Adam { epsilon: 0.3, ..Adam::new(RATE) }), &["adam/w/m", "adam/w/v"], |[p, m, v, _], g, t| {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            let rate = RATE * (1.0 - 0.999_f64.powi(t)).sqrt() / (1.0 - 0.9_f64.powi(t));
            *p -= rate * *m / (v.sqrt() + 0.3);
        }),
        (
            Box::new(AdamW::new(RATE).weight_decay(0.5).adam(Adam::new(RATE).beta_1(0.8))),
            &["adam_w/w/m", "adam_w/w/v"],
            |[p, m, v, _], g, t| {
                *m = 0.8 * *m + 0.2 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let (mean, square) = (*m / (1.0 - 0.8_f64.powi(t)), *v / (1.0 - 0.999_f64.powi(t)));
                *p -= RATE * 0.5 * *p;
                *p -= RATE * mean / (square.sqrt() + 1e-7 / (1.0 - 0.999_f64.powi(t)).sqrt());
            },
        ),
        (Box::new(RmsProp { epsilon: 0.3, ..RmsProp::new(RATE) }), &["rms_prop/w/v"], |[p, v, ..], g, _| {
            *v = 0.9 * *v + 0.1 * g * g;
            *p -= RATE * g / (*v + 0.3).sqrt();
        }),
        (
            Box::new(RmsProp { epsilon: 0.3, ..RmsProp::new(RATE).centered(true).momentum(0.5) }),
            &["rms_prop/w/v", "rms_prop/w/a", "rms_prop/w/momentum"],
            |[p, v, a, m], g, _| {
                *v = 0.9 * *v + 0.1 * g * g;
                *a = 0.9 * *a + 0.1 * g;
                *m = 0.5 * *m + RATE * g / (*v - *a * *a + 0.3).sqrt();
                *p -= *m;
            },
        ),
        (Box::new(Sgd::new(RATE)), &[], |[p, ..], g, _| *p -= RATE * g),
        (Box::new(Sgd::new(RATE).nesterov(true)), &[], |[p, ..], g, _| *p -= RATE * g),
        (Box::new(Sgd::new(RATE).momentum(0.7)), &["sgd/w/momentum"], |[p, m, ..], g, _| {
            *m = 0.7 * *m - RATE * g;
            *p += *m;
        }),
        (Box::new(Sgd::new(RATE).momentum(0.7).nesterov(true)), &["sgd/w/momentum"], |[p, m, ..], g, _| {
            *m = 0.7 * *m - RATE * g;
            *p += 0.7 * *m - RATE * g;
        }),
        (Box::new(RmsProp { rho: 0.8, ..RmsProp::new(RATE) }), &["rms_prop/w/v"], |[p, v, ..], g, _| {
            *v = 0.8 * *v + 0.2 * g * g;
            *p -= RATE * g / (*v + 1e-7).sqrt();
        }),
        (
            Box::new(RmsProp::new(RATE).centered(true).momentum(0.5)),
            &["rms_prop/w/v", "rms_prop/w/a", "rms_prop/w/momentum"],
            |[p, v, a, m], g, _| {
                *v = 0.9 * *v + 0.1 * g * g;
                *a = 0.9 * *a + 0.1 * g;
                *m = 0.5 * *m + RATE * g / (*v - *a * *a + 1e-7).sqrt();
                *p -= *m;
            },
        ),
        (Box::new(RmsProp::new(RATE).momentum(0.5)), &["rms_prop/w/v", "rms_prop/w/momentum"], |[p, v, m, _], g, _| {
            *v = 0.9 * *v + 0.1 * g * g;
            *m = 0.5 * *m + RATE * g / (*v + 1e-7).sqrt();
            *p -= *m;
        }),
        (Box::new(RmsProp::new(RATE).centered(true)), &["rms_prop/w/v", "rms_prop/w/a"], |[p, v, a, _], g, _| {
            *v = 0.9 * *v + 0.1 * g * g;
            *a = 0.9 * *a + 0.1 * g;
            *p -= RATE * g / (*v - *a * *a + 1e-7).sqrt();
        }),
    ]
}

/// Numbers of both signs, none of them small.
fn gradients(step: u64) -> Vec<f32> {
    (0..7_u64).map(|i| ((i * 37 + step * 53) % 19) as f32 / 8.0 - 1.1).collect()
}

/// A parameter `w` of this many elements.
fn weights(count: usize) -> Variable {
    Variable::new("w", Type::f32([count]), Group::Weight)
}

#[test]
fn optimizers_follow_their_formulas() {
    for (optimizer, paths, formula) in cases() {
        let start = gradients(0);
        let variable = weights(start.len());
        let builder = Builder::new();
        let input = |name: &str| builder.input(name, variable.ty.clone());
        let (p, g) = (input("p"), input("g"));
        let state: Vec<_> = optimizer.state(&variable).iter().map(|name| input(name)).collect();
        let scalars: Vec<_> = optimizer.scalars().iter().map(|name| builder.input(name, Type::f32([]))).collect();
        let update = optimizer.update(&Step { state: &state, scalars: &scalars, ..Step::new(&variable, p) }, g);
        builder.output("p", update.parameter);
        optimizer.state(&variable).iter().zip(&update.state).for_each(|(name, state)| builder.output(name, *state));
        assert_eq!(update.state.len(), paths.len(), "{optimizer:?}");
        let graph = builder.finish().unwrap();

        let initial = optimizer.initial_state(&variable).unwrap();
        assert_eq!(initial.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), paths, "{optimizer:?}");
        let mut want: Vec<Numbers> = start.iter().map(|&p| [f64::from(p), 0.0, 0.0, 0.0]).collect();
        let mut tensors = vec![Tensor::f32([start.len()], start).unwrap()];
        tensors.extend(initial.into_iter().map(|(_, tensor)| tensor));
        for step in 1..=STEPS {
            let gradients = gradients(step);
            for (numbers, &g) in want.iter_mut().zip(&gradients) {
                formula(numbers, f64::from(g), step as i32);
            }
            let mut inputs = vec![tensors[0].clone(), Tensor::f32([gradients.len()], gradients).unwrap()];
            inputs.extend_from_slice(&tensors[1..]);
            inputs.extend(optimizer.scalar_values(step, 1.0).into_iter().map(|x| Tensor::scalar(x as f32)));
            tensors = evaluate(&graph, &inputs).unwrap();
            for (found, want) in tensors[0].as_f32().unwrap().iter().zip(&want) {
                let error = (f64::from(*found) - want[0]).abs();
                assert!(error <= 1e-6, "{optimizer:?}, step {step}: {found}, by its formula {}", want[0]);
            }
        }
        assert_eq!(optimizer.scalar_values(3, 0.5)[0], optimizer.scalar_values(3, 1.0)[0] * 0.5, "{optimizer:?}");
    }
}

/// A gradient that has always been the same has no deviation; rounding must not make that one of a negative square.
#[test]
fn constant_gradients_have_steps() {
    let optimizer = RmsProp::new(RATE).centered(true);
    let builder = Builder::new();
    let [p, g, v, a] = ["p", "g", "v", "a"].map(|name| builder.input(name, Type::f32([1])));
    let variable = weights(1);
    let scalars = [builder.constant(RATE as f32)];
    let update = optimizer.update(&Step { state: &[v, a], scalars: &scalars, ..Step::new(&variable, p) }, g);
    builder.output("p", update.parameter);
    let graph = builder.finish().unwrap();
    let number = |x: f32| Tensor::f32([1], [x]).unwrap();
    // a mean whose square, rounded, is above the mean of squares
    for gradient in [3.3_f32, 1e3, 1e10, 0.1] {
        let above = gradient * (1.0 + f32::EPSILON);
        let inputs = [number(1.0), number(gradient), number(gradient * gradient), number(above)];
        let next = evaluate(&graph, &inputs).unwrap()[0].as_f32().unwrap()[0];
        assert!(next.is_finite() && next < 1.0, "{gradient}: {next}");
    }
}

/// What is not among the groups that decay moves as by Adam, to the bit.
#[test]
fn only_some_groups_decay() {
    let next = |optimizer: &dyn Optimizer, group: Group| {
        let builder = Builder::new();
        let variable = Variable { group, ..weights(2) };
        let [p, g] = ["p", "g"].map(|name| builder.input(name, variable.ty.clone()));
        let state = [builder.constant(0.0).broadcast(&[2].into()); 2];
        let scalars: Vec<_> = optimizer.scalar_values(1, 1.0).into_iter().map(|x| builder.constant(x)).collect();
        let step = Step { state: &state, scalars: &scalars, ..Step::new(&variable, p) };
        builder.output("p", optimizer.update(&step, g).parameter);
        let numbers = [[3.0, -2.0], [0.5, 0.25]].map(|x| Tensor::f32([2], x).unwrap());
        evaluate(&builder.finish().unwrap(), &numbers).unwrap().swap_remove(0)
    };
    let (adam, decaying) = (Adam::new(RATE), AdamW::new(RATE).weight_decay(0.5));
    for &group in Group::ALL {
        let is_same = next(&adam, group) == next(&decaying, group);
        assert_eq!(is_same, group != Group::Weight, "{group:?}");
        let chosen = decaying.clone().groups([Group::Loc, Group::Prior]);
        let is_same = next(&adam, group) == next(&chosen, group);
        assert_eq!(is_same, ![Group::Loc, Group::Prior].contains(&group), "{group:?}");
        assert_eq!(next(&adam, group), next(&decaying.clone().weight_decay(0.0), group), "{group:?}");
    }
}
