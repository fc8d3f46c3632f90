use bayeslift_ir::Expr;

/// All probability at one point.
#[derive(Clone, Copy, Debug)]
pub struct Deterministic<'b> {
    /// The point.
    pub loc: Expr<'b>,
}

impl<'b> Deterministic<'b> {
    /// All probability at `loc`.
    pub fn new(loc: Expr<'b>) -> Self {
        Deterministic { loc }
    }

    /// The log probability of each element: 0 at the point, minus infinity elsewhere, as in TFP.
    pub fn log_prob(&self, value: Expr<'b>) -> Expr<'b> {
        value.equal(self.loc).select(0.0, f32::NEG_INFINITY)
    }
}
