//! Memory as separate regions with exact bounds.

/// The address space of one region; a stray access lands in none, and its address still says which was meant.
const APART: u32 = 40;

struct Region {
    name: String,
    start: u64,
    bytes: Vec<u8>,
    writable: bool,
}

#[derive(Default)]
pub struct Memory(Vec<Region>);

impl Memory {
    /// Adds a region, `skew` bytes behind a multiple of 64; returns its address.
    pub fn map(&mut self, name: impl Into<String>, bytes: Vec<u8>, writable: bool, skew: u64) -> u64 {
        let start = ((self.0.len() as u64 + 1) << APART) + (1 << (APART - 1)) + skew;
        self.0.push(Region { name: name.into(), start, bytes, writable });
        start
    }

    /// The index of the region that an address belongs to, even if outside of its bounds.
    fn index(&self, address: u64) -> Option<usize> {
        ((address >> APART) as usize).checked_sub(1).filter(|&index| index < self.0.len())
    }

    /// All bytes of the region that an address lies in.
    pub fn region(&self, address: u64) -> &[u8] {
        &self.0[self.index(address).expect("a mapped address")].bytes
    }

    fn find(&self, address: u64, size: usize) -> Result<(usize, usize), String> {
        let index =
            self.index(address).ok_or_else(|| format!("accesses {size} bytes at {address:#x}, in no region"))?;
        let region = &self.0[index];
        let offset = address.wrapping_sub(region.start) as i64;
        match usize::try_from(offset) {
            Ok(offset) if offset + size <= region.bytes.len() => Ok((index, offset)),
            _ => {
                let (name, length) = (&region.name, region.bytes.len());
                Err(format!("accesses {size} bytes at {offset} of {name}, which has {length}"))
            }
        }
    }

    pub fn read(&self, address: u64, size: usize) -> Result<&[u8], String> {
        let (index, offset) = self.find(address, size)?;
        Ok(&self.0[index].bytes[offset..offset + size])
    }

    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), String> {
        let (index, offset) = self.find(address, bytes.len())?;
        let region = &mut self.0[index];
        if !region.writable {
            return Err(format!("writes at {offset} of {}, which is read-only", region.name));
        }
        region.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    pub fn read_word(&self, address: u64) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.read(address, 4)?.try_into().expect("four bytes")))
    }
}
