//! The interpreter: what tile code means, bit for bit. Emitters give the same bits.
//!
//! It runs on any machine, for any number of lanes, with the arithmetic of the graph's evaluator
//! ([`Scalar`](bayeslift_ir::Scalar)). What emitters do not check - accesses outside of memory, negative dividends - it
//! does.

mod double;
mod inst;
mod memory;

use super::{
    ActiveLanes, Address, Base, Carried, Class, Error, Fault, Reg, Stmt, TileKernel, error::locate, verify_for,
};
use bayeslift_ir::Environment;
use std::ops::Range;

/// The most lanes that vectors have.
pub const MAX_LANES: usize = 16;

/// What scratch memory holds before anything is written there. It may be anything; this is no number, so that reading
/// it shows.
const UNWRITTEN: u32 = 0x7fa0_dead;

/// The words of a value: one in each lane, of a double the low and the high one.
type Words = [u32; 2 * MAX_LANES];

/// A value: the words of its lanes, as in memory, of masks 0 or all ones; or an index.
#[derive(Clone, Copy)]
struct Value {
    words: Words,
    index: i64,
}

const ZERO: Value = Value { words: [0; 2 * MAX_LANES], index: 0 };

/// Processes these tiles with vectors of `lanes` lanes, at most [`MAX_LANES`]. `arguments` are the words that pointers
/// point to. A loop counts as a statement each time that it begins anew; more than `limit` are not executed.
///
/// # Errors
/// [`Error::Malformed`] as for [`verify_for`]; [`Error::Call`] for another number of arguments or a number of lanes
/// that is no power of two; [`Error::Fault`] for the first statement that does what it must not, after which memory
/// holds what was written before; [`Error::Memory`] for scratch memory that the machine does not have.
///
/// ```
/// use bayeslift_codegen::tile::{TileKernel, interpret};
/// let kernel: TileKernel = "tiles r0..r1, 2 arguments, 0 scratch bytes
///   for r2 in r0..r1 step 1
///     r3 = index_scale r2 by 4
///     r4* = load float argument0[r3]
///     r5* = add r4 r4
///     argument1[r3] = r5"
///     .parse()?;
/// let mut memory = [(0..8).map(|i| (i as f32).to_bits()).collect(), vec![0; 8]];
/// interpret(&kernel, 4, &mut memory, 0..2, 100)?;
/// assert_eq!(memory[1][7], 14.0_f32.to_bits());
/// # Ok::<(), bayeslift_codegen::tile::Error>(())
/// ```
pub fn interpret(
    kernel: &TileKernel,
    lanes: usize,
    arguments: &mut [Vec<u32>],
    tiles: Range<i64>,
    limit: u64,
) -> Result<(), Error> {
    verify_for(kernel, lanes)?;
    if !lanes.is_power_of_two() || lanes > MAX_LANES {
        return Err(Error::Call { what: "lanes", expected: "1, 2, 4, 8 or 16".into(), found: lanes });
    }
    if arguments.len() != kernel.arguments {
        let expected = kernel.arguments.to_string();
        return Err(Error::Call { what: "arguments", expected, found: arguments.len() });
    }
    let _environment = Environment::enter();
    let words = kernel.scratch_bytes / 4;
    bayeslift_ir::memory::check(words, 4, "scratch memory")?;
    let scratch = vec![UNWRITTEN; words];
    let values = vec![ZERO; kernel.regs.len()];
    let mut interpreter = Interpreter { kernel, lanes, values, arguments, scratch, limit, executed: 0 };
    interpreter.value(kernel.begin).index = tiles.start;
    interpreter.value(kernel.end).index = tiles.end;
    interpreter.block(&kernel.body).map_err(|(stmt, fault)| {
        let (line, statement) = locate(kernel, Some(stmt));
        Error::Fault { line, statement, fault }
    })
}

struct Interpreter<'k, 'a> {
    kernel: &'k TileKernel,
    lanes: usize,
    values: Vec<Value>,
    arguments: &'a mut [Vec<u32>],
    scratch: Vec<u32>,
    limit: u64,
    executed: u64,
}

/// What went wrong, and in which statement.
type Executed<'k> = Result<(), (&'k Stmt, Fault)>;

impl<'k> Interpreter<'k, '_> {
    fn value(&mut self, reg: Reg) -> &mut Value {
        &mut self.values[reg.0 as usize]
    }

    fn words(&self, reg: Reg) -> &Words {
        &self.values[reg.0 as usize].words
    }

    fn index(&self, reg: Reg) -> i64 {
        self.values[reg.0 as usize].index
    }

    fn is_vector(&self, reg: Reg) -> bool {
        self.kernel.regs[reg.0 as usize].vector
    }

    fn is_double(&self, reg: Reg) -> bool {
        self.kernel.regs[reg.0 as usize].class == Class::Double
    }

    /// How many lanes of a register an access touches.
    fn touched(&self, reg: Reg, active: ActiveLanes) -> usize {
        match active {
            Some(lanes) => lanes as usize,
            None if self.is_vector(reg) => self.lanes,
            None => 1,
        }
    }

    /// The words that an access to lanes `stride` elements of four bytes apart touches: where they are, from the first
    /// on.
    fn places(&self, reg: Reg, stride: i64, active: ActiveLanes) -> impl Iterator<Item = i64> + use<> {
        let each = self.neighbours(reg);
        (0..self.touched(reg, active) as i64).flat_map(move |lane| (0..each).map(move |word| lane * stride + word))
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.executed += 1;
        if self.executed > self.limit { Err(Fault::TooLong { limit: self.limit }) } else { Ok(()) }
    }

    fn block(&mut self, stmts: &'k [Stmt]) -> Executed<'k> {
        for stmt in stmts {
            let here = |fault| (stmt, fault);
            self.count().map_err(here)?;
            match stmt {
                Stmt::Let(reg, inst) => *self.value(*reg) = self.inst(*reg, *inst).map_err(here)?,
                Stmt::Store(address, value, active) => self.store(*address, *value, *active).map_err(here)?,
                Stmt::Prefetch(_) => {}
                Stmt::LoadTransposed { into, address, stride, active, .. } => {
                    for (number, &reg) in (0..).zip(into) {
                        let address = Address { offset: address.offset + number, ..*address };
                        self.value(reg).words = self.load(reg, address, *stride, *active).map_err(here)?;
                    }
                }
                Stmt::Loop { counter, start, end, step, carried, body } => {
                    self.repeat(stmt, *counter, self.index(*start)..self.index(*end), *step, carried, body)?;
                }
            }
        }
        Ok(())
    }

    fn repeat(
        &mut self,
        stmt: &'k Stmt,
        counter: Reg,
        range: Range<i64>,
        step: i64,
        carried: &[Carried],
        body: &'k [Stmt],
    ) -> Executed<'k> {
        for carry in carried {
            *self.value(carry.reg) = self.values[carry.initial.0 as usize];
        }
        let mut now = range.start;
        while now < range.end {
            self.count().map_err(|fault| (stmt, fault))?;
            self.value(counter).index = now;
            self.block(body)?;
            // all at once: the next value of one may be what another is now
            let next: Vec<Value> = carried.iter().map(|carry| self.values[carry.next.0 as usize]).collect();
            carried.iter().zip(next).for_each(|(carry, next)| *self.value(carry.reg) = next);
            now = now.checked_add(step).ok_or((stmt, Fault::CounterOverflow))?;
        }
        Ok(())
    }

    /// What lanes `stride` apart hold.
    fn load(&self, reg: Reg, address: Address, stride: i64, active: ActiveLanes) -> Result<Words, Fault> {
        let mut words = ZERO.words;
        for (word, place) in words.iter_mut().zip(self.places(reg, stride, active)) {
            let element = self.element(address, place);
            *word = match address.base {
                Base::Argument(i) => memory::read(&self.arguments[i], address.base, element)?,
                Base::Scratch => memory::read(&self.scratch, address.base, element)?,
            };
        }
        Ok(words)
    }

    fn store(&mut self, address: Address, value: Reg, active: ActiveLanes) -> Result<(), Fault> {
        let words = *self.words(value);
        for (word, place) in words.into_iter().zip(self.places(value, self.neighbours(value), active)) {
            let element = self.element(address, place);
            match address.base {
                Base::Argument(i) => memory::write(&mut self.arguments[i], address.base, element, word)?,
                Base::Scratch => memory::write(&mut self.scratch, address.base, element, word)?,
            }
        }
        Ok(())
    }

    /// How far apart neighbours lie in memory.
    fn neighbours(&self, reg: Reg) -> i64 {
        if self.is_double(reg) { 2 } else { 1 }
    }

    fn element(&self, address: Address, further: i64) -> i128 {
        i128::from(self.index(address.index)) + i128::from(address.offset) + i128::from(further)
    }
}
