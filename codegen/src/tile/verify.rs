//! The verifier: whether tile code is what emitters rely on.
//!
//! [`TileBuilder`](super::TileBuilder) makes code that is; text may be anything.

use super::{
    ActiveLanes, Address, Base, Carried, Class, Error, Inst, Reg, RegType, Shift, Stmt, TileKernel, error::locate,
};

/// How deep loops may be nested.
pub const MAX_DEPTH: usize = 64;
/// The largest offset or stride, in elements: far from what overflows when it is counted in bytes.
const MAX_DISTANCE: u64 = 1 << 40;
/// Emitters hold the offsets of pointers in 32 bits.
const MAX_ARGUMENTS: usize = 1 << 20;
const MAX_SCRATCH_BYTES: u64 = 1 << 40;

/// `Ok` if `kernel` is well-formed for every number of lanes that its parts of vectors fit in.
///
/// Each register is defined once, and read only after that and in the block that defines it, or in loops there; what a
/// loop carries can also be read after it. Operands have the classes that operations take, and are vectors or scalars
/// as these are. Steps and divisors are positive, parts have a lane, accesses name arguments that exist.
///
/// # Errors
/// [`Error::Malformed`] names the first statement that is not.
pub fn verify(kernel: &TileKernel) -> Result<(), Error> {
    Verifier::new(kernel, None).kernel()
}

/// As [`verify`], and whether the code can be run with vectors of `lanes` lanes.
///
/// # Errors
/// As for [`verify`].
pub fn verify_for(kernel: &TileKernel, lanes: usize) -> Result<(), Error> {
    Verifier::new(kernel, Some(lanes)).kernel()
}

/// Where a register's definition is, seen from the statement that is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Ahead,
    Visible,
    /// In a loop that is over.
    Closed,
}

struct Verifier<'k> {
    kernel: &'k TileKernel,
    lanes: Option<usize>,
    scopes: Vec<Scope>,
    /// The registers that are visible, in the order in which they became so.
    visible: Vec<Reg>,
}

/// What is wrong, and in which statement: the innermost one.
type Checked<'k> = Result<(), (&'k Stmt, String)>;

impl<'k> Verifier<'k> {
    fn new(kernel: &'k TileKernel, lanes: Option<usize>) -> Self {
        Verifier { kernel, lanes, scopes: vec![Scope::Ahead; kernel.regs.len()], visible: Vec::new() }
    }

    fn kernel(mut self) -> Result<(), Error> {
        let kernel = self.kernel;
        let malformed = |stmt, message| {
            let (line, statement) = locate(kernel, stmt);
            Error::Malformed { line, statement, message }
        };
        self.header().map_err(|message| malformed(None, message))?;
        self.block(&kernel.body, 0).map_err(|(stmt, message)| malformed(Some(stmt), message))
    }

    fn header(&mut self) -> Result<(), String> {
        let TileKernel { begin, end, arguments, scratch_bytes, .. } = *self.kernel;
        [begin, end].into_iter().try_for_each(|reg| self.define(reg, Class::Index, false))?;
        if arguments > MAX_ARGUMENTS {
            return Err(format!("{arguments} arguments, at most {MAX_ARGUMENTS} are possible"));
        }
        if !scratch_bytes.is_multiple_of(4) || scratch_bytes as u64 > MAX_SCRATCH_BYTES {
            return Err(format!(
                "{scratch_bytes} scratch bytes, expected a multiple of 4, at most {MAX_SCRATCH_BYTES}"
            ));
        }
        Ok(())
    }

    fn block(&mut self, stmts: &'k [Stmt], depth: usize) -> Checked<'k> {
        for stmt in stmts {
            let here = |message| (stmt, message);
            match stmt {
                Stmt::Let(reg, inst) => self.inst(*reg, inst).map_err(here)?,
                Stmt::Store(address, value, active) => self.store(*address, *value, *active).map_err(here)?,
                Stmt::Prefetch(address) => self.address(*address).map_err(here)?,
                Stmt::LoadTransposed { class: Class::Double, .. } => {
                    return Err(here("four neighbours at once are no doubles".into()));
                }
                Stmt::LoadTransposed { into, class, address, stride, active } => {
                    self.load(*class, *address, *stride, *active, true).map_err(here)?;
                    into.iter().try_for_each(|&reg| self.define(reg, *class, true)).map_err(here)?;
                }
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    let before = self.visible.len();
                    self.enter(*counter, [*start, *end], *step, carried, depth).map_err(here)?;
                    self.block(body, depth + 1)?;
                    self.leave(before, carried).map_err(here)?;
                }
            }
        }
        Ok(())
    }

    /// What a loop says before its body.
    fn enter(
        &mut self,
        counter: Reg,
        range: [Reg; 2],
        step: i64,
        carried: &[Carried],
        depth: usize,
    ) -> Result<(), String> {
        if depth == MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} loops, each in the other"));
        }
        range.into_iter().try_for_each(|reg| self.read(reg, Class::Index, false))?;
        distance("step", step)?;
        positive("step", step)?;
        let initial = |carry: &Carried| self.visible(carry.initial);
        let types = carried.iter().map(initial).collect::<Result<Vec<RegType>, _>>()?;
        self.define(counter, Class::Index, false)?;
        carried.iter().zip(types).try_for_each(|(carry, ty)| self.define(carry.reg, ty.class, ty.vector))
    }

    /// Closes a loop: of what it made, what it carries stays.
    fn leave(&mut self, before: usize, carried: &[Carried]) -> Result<(), String> {
        for carry in carried {
            let RegType { class, vector } = self.ty(carry.reg)?;
            self.read(carry.next, class, vector)?;
        }
        for reg in self.visible.drain(before..) {
            self.scopes[reg.0 as usize] = Scope::Closed;
        }
        for carry in carried {
            self.scopes[carry.reg.0 as usize] = Scope::Visible;
            self.visible.push(carry.reg);
        }
        Ok(())
    }

    fn inst(&mut self, reg: Reg, inst: &Inst) -> Result<(), String> {
        let mut operands = Vec::with_capacity(3);
        inst.operands(|operand| operands.push(operand));
        let types = operands.iter().map(|&operand| self.visible(operand)).collect::<Result<Vec<_>, _>>()?;
        let (classes, class) = inst.classes(&types);
        let (takes_vectors, vector) = inst.vectors(self.ty(reg)?.vector);
        operands.iter().zip(classes).try_for_each(|(&operand, &class)| self.read(operand, class, takes_vectors))?;
        match *inst {
            Inst::Shift(op, _, by) if by > 31 || op == Shift::RotateLeft && by == 0 => {
                return Err(format!("{by} bits, expected less than 32, and of a rotation at least 1"));
            }
            Inst::IndexDiv(_, by) | Inst::IndexRem(_, by) => positive("divisor", by)?,
            Inst::Halves(..) if self.lanes.is_some_and(|lanes| lanes < 8) => {
                return Err("halves of vectors of less than eight lanes".into());
            }
            Inst::Load(class, address, active) => self.load(class, address, 1, active, vector)?,
            Inst::LoadStrided(class, address, stride, active) => self.load(class, address, stride, active, vector)?,
            _ => {}
        }
        self.define(reg, class, vector)
    }

    fn load(
        &self,
        class: Class,
        address: Address,
        stride: i64,
        active: ActiveLanes,
        vector: bool,
    ) -> Result<(), String> {
        self.address(address)?;
        distance("stride", stride)?;
        self.active_lanes(active, vector)?;
        in_memory(class)
    }

    fn store(&self, address: Address, value: Reg, active: ActiveLanes) -> Result<(), String> {
        let RegType { class, vector } = self.visible(value)?;
        self.address(address)?;
        self.active_lanes(active, vector)?;
        in_memory(class)
    }

    fn address(&self, Address { base, index, offset }: Address) -> Result<(), String> {
        let arguments = self.kernel.arguments;
        match base {
            Base::Argument(i) if i >= arguments => return Err(format!("argument {i} of {arguments}, counted from 0")),
            Base::Argument(_) | Base::Scratch => {}
        }
        distance("offset", offset)?;
        self.read(index, Class::Index, false)
    }

    fn active_lanes(&self, active: ActiveLanes, vector: bool) -> Result<(), String> {
        match (active, self.lanes) {
            (None, _) => Ok(()),
            (Some(_), _) if !vector => Err("a part of what is no vector".into()),
            (Some(0), _) => Err("a part of no lanes".into()),
            (Some(active), Some(lanes)) if active as usize > lanes => {
                Err(format!("the first {active} of {lanes} lanes"))
            }
            (Some(_), _) => Ok(()),
        }
    }

    fn ty(&self, reg: Reg) -> Result<RegType, String> {
        self.kernel.regs.get(reg.0 as usize).copied().ok_or_else(|| format!("{reg:?} has no type"))
    }

    /// The type of a register that can be read here.
    fn visible(&self, reg: Reg) -> Result<RegType, String> {
        let ty = self.ty(reg)?;
        match self.scopes[reg.0 as usize] {
            Scope::Visible => Ok(ty),
            Scope::Ahead => Err(format!("{reg:?} is not defined above")),
            Scope::Closed => Err(format!("{reg:?} is defined in a loop that is over")),
        }
    }

    fn read(&self, reg: Reg, class: Class, vector: bool) -> Result<(), String> {
        let expected = RegType { class, vector };
        match self.visible(reg)? {
            found if found == expected => Ok(()),
            found => Err(format!("{reg:?} is {found}, expected {expected}")),
        }
    }

    fn define(&mut self, reg: Reg, class: Class, vector: bool) -> Result<(), String> {
        let (given, expected) = (self.ty(reg)?, RegType { class, vector });
        if given != expected {
            return Err(format!("{reg:?} is {given}, but defined as {expected}"));
        }
        if self.scopes[reg.0 as usize] != Scope::Ahead {
            return Err(format!("{reg:?} is defined twice"));
        }
        self.scopes[reg.0 as usize] = Scope::Visible;
        self.visible.push(reg);
        Ok(())
    }
}

/// Masks lie in memory as words.
fn in_memory(class: Class) -> Result<(), String> {
    match class {
        Class::Float | Class::Double | Class::Int => Ok(()),
        Class::Mask | Class::Index => Err(format!("memory holds floats, doubles and integers, no {}", class.name())),
    }
}

fn positive(what: &str, number: i64) -> Result<(), String> {
    if number > 0 { Ok(()) } else { Err(format!("the {what} {number} is not positive")) }
}

fn distance(what: &str, elements: i64) -> Result<(), String> {
    if elements.unsigned_abs() <= MAX_DISTANCE { Ok(()) } else { Err(format!("the {what} {elements} is too large")) }
}
