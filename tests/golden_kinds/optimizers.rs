//! Optimizers: the steps of a trajectory.

use super::*;

impl Case {
    pub(super) fn optimizer(&self, b: &Builder) -> Fallible<Vec<Measured>> {
        let learning_rate = self.number("learning_rate")?;
        let is_set = |name: &str| self.option(name).as_bool().ok_or_else(|| format!("no option {name}"));
        let option = self.option("optimizer");
        match option.as_str() {
            Some("adam") => {
                let (beta_1, beta_2) = (self.number("beta_1")?, self.number("beta_2")?);
                self.trajectory(b, &Adam { learning_rate, beta_1, beta_2, epsilon: self.number("epsilon")? })
            }
            Some("sgd") => self.trajectory(b, &Sgd::new(learning_rate)),
            Some("momentum") => {
                let (momentum, nesterov) = (self.number("momentum")?, is_set("nesterov")?);
                self.trajectory(b, &Sgd { learning_rate, momentum, nesterov })
            }
            Some("rmsprop") => {
                let (rho, momentum) = (self.number("rho")?, self.number("momentum")?);
                let (epsilon, centered) = (self.number("epsilon")?, is_set("centered")?);
                self.trajectory(b, &RmsProp { learning_rate, rho, momentum, epsilon, centered })
            }
            _ => Err(self.unknown(option)),
        }
    }

    /// Every step of a trajectory.
    fn trajectory(&self, b: &Builder, optimizer: &dyn Optimizer) -> Fallible<Vec<Measured>> {
        optimizer.check()?;
        let ty = Type::f32(self.array("p0")?.shape.as_slice());
        let variable = Variable::new("p", ty.clone(), Group::Weight);
        let input = |name: &str, ty: &Type| b.input(name, ty.clone());
        let (p, g) = (input("p", &ty), input("g", &ty));
        let state: Vec<Expr<'_>> = optimizer.state(&variable).iter().map(|name| input(name, &ty)).collect();
        let scalars: Vec<Expr<'_>> = optimizer.scalars().iter().map(|name| input(name, &Type::f32([]))).collect();
        let update = optimizer.update(&Step { state: &state, scalars: &scalars, ..Step::new(&variable, p) }, g);
        b.output("p", update.parameter);
        optimizer.state(&variable).iter().zip(&update.state).for_each(|(name, state)| b.output(name, *state));
        b.check()?;
        let graph = b.graph().clone();

        let (grads, elements) = (&self.array("grads")?.values, ty.shape.elements());
        let mut now: Vec<Tensor> = vec![self.tensor("p0")?];
        now.extend(optimizer.initial_state(&variable)?.into_iter().map(|(_, tensor)| tensor));
        let mut trajectory = Vec::new();
        for (step, gradient) in (1..).zip(grads.chunks(elements)) {
            let gradient: Vec<f32> = gradient.iter().map(|&g| g as f32).collect();
            let scalars = optimizer.scalar_values(step, 1.0);
            now = run(graph.clone(), |name| {
                let in_state = optimizer.state(&variable).iter().position(|other| *other == name);
                let in_scalars = optimizer.scalars().iter().position(|other| other == name);
                Ok(match name {
                    "p" => now[0].clone(),
                    "g" => Tensor::f32(ty.shape.clone(), gradient.clone())?,
                    _ => match (in_state, in_scalars) {
                        (Some(i), _) => now[1 + i].clone(),
                        (_, Some(i)) => Tensor::scalar(scalars[i] as f32),
                        _ => return Err(format!("no input {name}").into()),
                    },
                })
            })?;
            trajectory.extend(floats(&now[0])?);
        }
        let want = &self.array("trajectory")?.values;
        Ok(vec![Measured::new("trajectory", trajectory.into_iter(), want)?])
    }
}
