//! Recording tile code.

use super::*;
use bayeslift_ir::{DoubleLanes, Lanes};
use std::collections::HashMap;

/// Records a [`TileKernel`]. Its [`Lanes`] operations are as the [`LaneMode`] says that it is in, at first scalar. What
/// a loop does not change is computed before it.
#[derive(Debug)]
pub struct TileBuilder {
    regs: Vec<RegType>,
    /// For each register the body that defines it.
    homes: Vec<usize>,
    /// Indices that are constant.
    pub(super) indices: HashMap<Reg, i64>,
    /// What each negation negates.
    negated: HashMap<Reg, Reg>,
    /// Of what each absolute value is the size.
    sizes: HashMap<Reg, Reg>,
    /// For each mask whether one number is less than another, the two.
    ordered: HashMap<Reg, (Reg, Reg)>,
    mode: LaneMode,
    /// The kernel's body, and those of open loops, each inside the one before.
    bodies: Vec<Body>,
    begin: Reg,
    end: Reg,
}

/// The body of a kernel or a loop under construction, and what it has computed already.
#[derive(Debug, Default)]
struct Body {
    stmts: Vec<Stmt>,
    known: HashMap<(Inst, bool), Reg>,
}

impl TileBuilder {
    /// A builder of an empty kernel.
    pub fn new() -> Self {
        TileBuilder {
            regs: vec![RegType { class: Class::Index, vector: false }; 2],
            homes: vec![0, 0],
            indices: HashMap::new(),
            negated: HashMap::new(),
            sizes: HashMap::new(),
            ordered: HashMap::new(),
            mode: LaneMode::Scalar,
            bodies: vec![Body::default()],
            begin: Reg(0),
            end: Reg(1),
        }
    }

    /// The kernel.
    pub fn finish(mut self, arguments: usize, scratch_bytes: usize) -> TileKernel {
        let body = self.bodies.pop().expect("the kernel's body");
        assert!(self.bodies.is_empty(), "a loop is still open");
        let TileBuilder { regs, begin, end, .. } = self;
        let mut body = body.stmts;
        drop_unread(&mut body, &mut vec![false; regs.len()]);
        let kernel = TileKernel { regs, begin, end, body, arguments, scratch_bytes };
        debug_assert_eq!(verify(&kernel), Ok(()), "{kernel}");
        kernel
    }

    /// The range of tiles to process.
    pub fn tile_range(&self) -> (Reg, Reg) {
        (self.begin, self.end)
    }

    /// A register that the body of this number defines.
    fn reg(&mut self, class: Class, vector: bool, home: usize) -> Reg {
        self.regs.push(RegType { class, vector });
        self.homes.push(home);
        Reg(self.regs.len() as u32 - 1)
    }

    /// The type of a register.
    pub fn ty(&self, reg: Reg) -> RegType {
        self.regs[reg.0 as usize]
    }

    /// Defines a register by `inst`, or finds the equal one that exists.
    pub(super) fn define(&mut self, inst: Inst, class: Class, vector: bool) -> Reg {
        let innermost = self.bodies.len() - 1;
        if matches!(inst, Inst::Load(..) | Inst::LoadStrided(..)) {
            let reg = self.reg(class, vector, innermost);
            self.push(Stmt::Let(reg, inst));
            return reg;
        }
        let mut home = 0;
        inst.operands(|operand| home = home.max(self.homes[operand.0 as usize]));
        if let Some(&reg) = self.bodies[home].known.get(&(inst, vector)) {
            return reg;
        }
        let reg = self.reg(class, vector, home);
        self.bodies[home].stmts.push(Stmt::Let(reg, inst));
        self.bodies[home].known.insert((inst, vector), reg);
        reg
    }

    fn lanes(&mut self, inst: Inst, class: Class) -> Reg {
        self.define(inst, class, self.mode.is_vector())
    }

    /// Changes to another mode. Returns the one before, to which a scope changes back at its end.
    pub fn enter(&mut self, mode: LaneMode) -> LaneMode {
        std::mem::replace(&mut self.mode, mode)
    }

    /// The mode that it is in.
    pub fn mode(&self) -> LaneMode {
        self.mode
    }

    /// A scalar in every lane, if lanes are vectors.
    pub fn splat(&mut self, scalar: Reg) -> Reg {
        let ty = self.ty(scalar);
        if self.mode.is_vector() && !ty.vector { self.define(Inst::Splat(scalar), ty.class, true) } else { scalar }
    }

    /// Loads neighbouring elements.
    pub fn load(&mut self, class: Class, address: Address) -> Reg {
        self.load_strided(class, address, 1)
    }

    /// Loads elements `stride` of their own size apart; 0 loads one for all lanes. Masks are loaded as words.
    pub fn load_strided(&mut self, class: Class, address: Address, stride: i64) -> Reg {
        match (class, stride) {
            (Class::Mask, _) => {
                let word = self.load_strided(Class::Int, address, stride);
                self.negative(word)
            }
            (_, 0) if self.mode.is_vector() => {
                let scalar = self.define(Inst::Load(class, address, None), class, false);
                self.splat(scalar)
            }
            _ if !self.mode.is_vector() => self.lanes(Inst::Load(class, address, None), class),
            (_, 1) => self.lanes(Inst::Load(class, address, self.mode.active()), class),
            (Class::Double, _) => self.lanes(Inst::LoadStrided(class, address, 2 * stride, self.mode.active()), class),
            _ => self.lanes(Inst::LoadStrided(class, address, stride, self.mode.active()), class),
        }
    }

    /// Loads four neighbours for each lane, lanes `stride` elements apart: vectors of the first, the second, and so on.
    pub fn load_transposed(&mut self, class: Class, address: Address, stride: i64) -> [Reg; 4] {
        let of = if class == Class::Mask { Class::Int } else { class };
        let innermost = self.bodies.len() - 1;
        let into = [(); 4].map(|()| self.reg(of, true, innermost));
        self.push(Stmt::LoadTransposed { into, class: of, address, stride, active: self.mode.active() });
        if class == Class::Mask { into.map(|word| self.negative(word)) } else { into }
    }

    /// A mask from its word: a true one has all bits set.
    fn negative(&mut self, word: Reg) -> Reg {
        let zero = self.integer(0);
        self.iless(word, zero)
    }

    fn push(&mut self, stmt: Stmt) {
        self.bodies.last_mut().expect("the kernel's body").stmts.push(stmt);
    }

    /// Stores elements: a mask as words.
    pub fn store(&mut self, address: Address, value: Reg) {
        self.store_active(address, value, self.mode.active());
    }

    /// As [`TileBuilder::store`], also the lanes that are not active.
    pub fn store_whole(&mut self, address: Address, value: Reg) {
        self.store_active(address, value, None);
    }

    fn store_active(&mut self, address: Address, value: Reg, active: ActiveLanes) {
        let value = if self.ty(value).class == Class::Mask {
            let (yes, no) = (self.integer(u32::MAX), self.integer(0));
            self.iselect(value, yes, no)
        } else {
            value
        };
        let active = active.filter(|_| self.ty(value).vector);
        self.push(Stmt::Store(address, value, active));
    }

    /// Brings memory near that will be read or written.
    pub fn prefetch(&mut self, address: Address) {
        self.push(Stmt::Prefetch(address));
    }

    /// 0, 1, 2, ... in the lanes; 0 for a scalar.
    pub fn lane_numbers(&mut self) -> Reg {
        if self.mode.is_vector() { self.define(Inst::LaneNumbers, Class::Int, true) } else { self.integer(0) }
    }

    /// The lower halves of two float vectors, one after the other, and their upper halves. Vectors must have eight
    /// lanes or more.
    pub fn halves(&mut self, a: Reg, b: Reg) -> [Reg; 2] {
        [false, true].map(|upper| self.define(Inst::Halves(a, b, upper), Class::Float, true))
    }

    /// Opens a loop that carries values: its counter, and the carried registers as the body sees them.
    pub fn open_loop(&mut self, initial: &[Reg]) -> (Reg, Vec<Reg>) {
        let home = self.bodies.len();
        self.bodies.push(Body::default());
        let counter = self.reg(Class::Index, false, home);
        let types: Vec<RegType> = initial.iter().map(|&reg| self.ty(reg)).collect();
        let carried = types.into_iter().map(|ty| self.reg(ty.class, ty.vector, home)).collect();
        (counter, carried)
    }

    /// Closes the innermost loop: `for counter in (start..end).step_by(step)`. After it `carried` hold the last values.
    #[allow(clippy::too_many_arguments, reason = "the parts of a loop")]
    pub fn close_loop(
        &mut self,
        counter: Reg,
        start: Reg,
        end: Reg,
        step: i64,
        initial: &[Reg],
        carried: &[Reg],
        next: &[Reg],
    ) {
        assert_eq!(next.len(), carried.len(), "every carried value needs a next one");
        let body = self.bodies.pop().expect("the loop's body").stmts;
        // what is carried outlives the loop
        carried.iter().for_each(|reg| self.homes[reg.0 as usize] = self.bodies.len() - 1);
        let carried = carried
            .iter()
            .zip(initial)
            .zip(next)
            .map(|((&reg, &initial), &next)| Carried { reg, initial, next })
            .collect();
        self.push(Stmt::Loop { counter, start, end, step, carried, body });
    }
}

/// Drops definitions that nothing reads. `read` says which registers later code reads.
fn drop_unread(body: &mut Vec<Stmt>, read: &mut [bool]) {
    let mut kept = Vec::with_capacity(body.len());
    while let Some(mut stmt) = body.pop() {
        match &mut stmt {
            Stmt::Let(reg, _) if !read[reg.0 as usize] => continue,
            // what the next iteration reads comes before what this one computes
            Stmt::Loop { carried, body, .. } => {
                carried.iter().for_each(|carry| read[carry.next.0 as usize] = true);
                drop_unread(body, read);
            }
            _ => {}
        }
        stmt.operands(|reg| read[reg.0 as usize] = true);
        kept.push(stmt);
    }
    kept.reverse();
    *body = kept;
}

impl Default for TileBuilder {
    fn default() -> Self {
        TileBuilder::new()
    }
}

impl Lanes for TileBuilder {
    type F = Reg;
    type I = Reg;
    type M = Reg;

    fn constant(&mut self, x: f32) -> Reg {
        self.lanes(Inst::Float(x.to_bits()), Class::Float)
    }
    fn add(&mut self, a: Reg, b: Reg) -> Reg {
        // a + -b is a - b, to the sign of a zero
        match (self.negated.get(&a).copied(), self.negated.get(&b).copied()) {
            (_, Some(b)) => return self.sub(a, b),
            (Some(a), None) => return self.sub(b, a),
            (None, None) => {}
        }
        self.lanes(Inst::Binary(FloatBinary::Add, a, b), Class::Float)
    }
    fn sub(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Sub, a, b), Class::Float)
    }
    fn mul(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Mul, a, b), Class::Float)
    }
    fn div(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Div, a, b), Class::Float)
    }
    fn fma(&mut self, a: Reg, b: Reg, c: Reg) -> Reg {
        self.lanes(Inst::Fma(a, b, c), Class::Float)
    }
    fn sqrt(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Unary(FloatUnary::Sqrt, a), Class::Float)
    }
    fn neg(&mut self, a: Reg) -> Reg {
        let negation = match self.sizes.get(&a).copied() {
            // -|x|: the sign bit is set, not cleared and flipped
            Some(x) => {
                let (bits, sign) = (self.bits(x), self.integer(1 << 31));
                let bits = self.or(bits, sign);
                self.float_of_bits(bits)
            }
            None => self.lanes(Inst::Unary(FloatUnary::Neg, a), Class::Float),
        };
        self.negated.insert(negation, a);
        negation
    }
    fn abs(&mut self, a: Reg) -> Reg {
        let size = self.lanes(Inst::Unary(FloatUnary::Abs, a), Class::Float);
        self.sizes.insert(size, a);
        size
    }
    fn floor(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Unary(FloatUnary::Floor, a), Class::Float)
    }
    fn less(&mut self, a: Reg, b: Reg) -> Reg {
        let is_less = self.lanes(Inst::Compare(FloatCompare::Less, a, b), Class::Mask);
        self.ordered.insert(is_less, (a, b));
        is_less
    }
    fn less_equal(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Compare(FloatCompare::LessEqual, a, b), Class::Mask)
    }
    fn equal(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Compare(FloatCompare::Equal, a, b), Class::Mask)
    }
    fn select(&mut self, m: Reg, a: Reg, b: Reg) -> Reg {
        // the one of two numbers that is less, or greater
        match self.ordered.get(&m) {
            Some(&(x, y)) if (a, b) == (y, x) => self.lanes(Inst::Binary(FloatBinary::Max, a, b), Class::Float),
            Some(&(x, y)) if (a, b) == (x, y) => self.lanes(Inst::Binary(FloatBinary::Min, a, b), Class::Float),
            _ => self.lanes(Inst::Select(m, a, b), Class::Float),
        }
    }
    fn bits(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Bits(a), Class::Int)
    }
    fn float_of_bits(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::FromBits(a), Class::Float)
    }
    fn to_float(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::ToFloat(a), Class::Float)
    }
    fn integer(&mut self, x: u32) -> Reg {
        self.lanes(Inst::Int(x), Class::Int)
    }
    fn iadd(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntBinary(IntBinary::Add, a, b), Class::Int)
    }
    fn isub(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntBinary(IntBinary::Sub, a, b), Class::Int)
    }
    fn and(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntBinary(IntBinary::And, a, b), Class::Int)
    }
    fn or(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntBinary(IntBinary::Or, a, b), Class::Int)
    }
    fn xor(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntBinary(IntBinary::Xor, a, b), Class::Int)
    }
    fn shl(&mut self, a: Reg, by: u32) -> Reg {
        self.lanes(Inst::Shift(Shift::Left, a, by), Class::Int)
    }
    fn shr(&mut self, a: Reg, by: u32) -> Reg {
        self.lanes(Inst::Shift(Shift::LogicalRight, a, by), Class::Int)
    }
    fn sar(&mut self, a: Reg, by: u32) -> Reg {
        self.lanes(Inst::Shift(Shift::ArithmeticRight, a, by), Class::Int)
    }
    fn rotl(&mut self, a: Reg, by: u32) -> Reg {
        self.lanes(Inst::Shift(Shift::RotateLeft, a, by), Class::Int)
    }
    fn iequal(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntEqual(a, b), Class::Mask)
    }
    fn iless(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::IntLess(a, b), Class::Mask)
    }
    fn iselect(&mut self, m: Reg, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Select(m, a, b), Class::Int)
    }
}

impl DoubleLanes for TileBuilder {
    type D = Reg;

    fn dconstant(&mut self, x: f64) -> Reg {
        self.lanes(Inst::Double(x.to_bits()), Class::Double)
    }
    fn dadd(&mut self, a: Reg, b: Reg) -> Reg {
        match (self.negated.get(&a).copied(), self.negated.get(&b).copied()) {
            (_, Some(b)) => self.dsub(a, b),
            (Some(a), None) => self.dsub(b, a),
            (None, None) => self.lanes(Inst::Binary(FloatBinary::Add, a, b), Class::Double),
        }
    }
    fn dsub(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Sub, a, b), Class::Double)
    }
    fn dmul(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Mul, a, b), Class::Double)
    }
    fn ddiv(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Binary(FloatBinary::Div, a, b), Class::Double)
    }
    fn dsqrt(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Unary(FloatUnary::Sqrt, a), Class::Double)
    }
    fn dneg(&mut self, a: Reg) -> Reg {
        let negation = self.lanes(Inst::Unary(FloatUnary::Neg, a), Class::Double);
        self.negated.insert(negation, a);
        negation
    }
    fn dabs(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Unary(FloatUnary::Abs, a), Class::Double)
    }
    fn dfloor(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Unary(FloatUnary::Floor, a), Class::Double)
    }
    fn dless(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Compare(FloatCompare::Less, a, b), Class::Mask)
    }
    fn dless_equal(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Compare(FloatCompare::LessEqual, a, b), Class::Mask)
    }
    fn dequal(&mut self, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Compare(FloatCompare::Equal, a, b), Class::Mask)
    }
    fn dselect(&mut self, m: Reg, a: Reg, b: Reg) -> Reg {
        self.lanes(Inst::Select(m, a, b), Class::Double)
    }
    fn widen(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Widen(a), Class::Double)
    }
    fn narrow(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::Narrow(a), Class::Float)
    }
    fn to_double(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::ToDouble(a), Class::Double)
    }
    fn high_word(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::HighWord(a), Class::Int)
    }
    fn low_word(&mut self, a: Reg) -> Reg {
        self.lanes(Inst::LowWord(a), Class::Int)
    }
    fn double_of_words(&mut self, high: Reg, low: Reg) -> Reg {
        self.lanes(Inst::FromWords(high, low), Class::Double)
    }
}
