//! Rows of tables by their numbers.

use crate::{Expr, Op, Shape};

/// Tables: rows that are found, added to and replaced by their numbers.
impl<'b> Expr<'b> {
    /// Rows of this table by their numbers, zeros for a number that is no row's: a table `[rows, width]` and any
    /// numbers `u32[..]` give `[.., width]`; tables `[b.., rows, width]` take numbers `[b.., n]` each.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let (table, numbers) = (b.input("table", Type::f32([3, 2])), b.input("numbers", Type::u32([2])));
    /// b.output("rows", table.gather(numbers));
    /// let table = Tensor::f32([3, 2], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
    /// let rows = evaluate(&b.finish()?, &[table, Tensor::u32([2], [2, 9])?])?;
    /// assert_eq!(rows, [Tensor::f32([2, 2], [5.0, 6.0, 0.0, 0.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn gather(self, numbers: Expr<'b>) -> Expr<'b> {
        let (shape, counts) = (self.shape(), numbers.shape());
        if shape.len() != 2 {
            return self.builder().push(Op::Gather, &[self, numbers]);
        }
        let rows = self.builder().push(Op::Gather, &[self, numbers.reshape([counts.elements()])]);
        rows.reshape(counts.iter().copied().chain([shape[1]]).collect::<Shape>())
    }

    /// The adjoint of [`Expr::gather`] of tables with `rows` rows: rows `[b.., n, width]` added up by their numbers
    /// `[b.., n]`, in an order that [`Op::ScatterAdd`] defines, to `[b.., rows, width]`. A number that is no row's is
    /// left out.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let (x, numbers) = (b.input("x", Type::f32([3, 1])), b.input("numbers", Type::u32([3])));
    /// b.output("sums", x.scatter_add(numbers, 2));
    /// let inputs = [Tensor::f32([3, 1], [1.0, 2.0, 4.0])?, Tensor::u32([3], [1, 9, 1])?];
    /// assert_eq!(evaluate(&b.finish()?, &inputs)?, [Tensor::f32([2, 1], [0.0, 5.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn scatter_add(self, numbers: Expr<'b>, rows: usize) -> Expr<'b> {
        self.builder().push(Op::ScatterAdd(rows), &[self, numbers])
    }

    /// This table `[rows, width]` with the rows that have the numbers `u32[n]` replaced by `new: [n, width]`. Of
    /// several for one row the first counts; a number that is no row's changes nothing.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// let (table, numbers) = (b.input("table", Type::f32([2, 1])), b.input("numbers", Type::u32([3])));
    /// b.output("table", table.scatter_rows(numbers, b.input("new", Type::f32([3, 1]))));
    /// let new = Tensor::f32([3, 1], [10.0, 20.0, 30.0])?;
    /// let inputs = [Tensor::f32([2, 1], [1.0, 2.0])?, Tensor::u32([3], [1, 9, 1])?, new];
    /// assert_eq!(evaluate(&b.finish()?, &inputs)?, [Tensor::f32([2, 1], [1.0, 10.0])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn scatter_rows(self, numbers: Expr<'b>, new: Expr<'b>) -> Expr<'b> {
        self.builder().push(Op::ScatterRows, &[self, numbers, new])
    }

    /// For each of `u32[n]` the position of the first that equals it, if it is below `rows`; else its own. So rows that
    /// come several times in a batch are updated once.
    ///
    /// ```
    /// use bayeslift_ir::{Builder, Tensor, Type, evaluate};
    /// let b = Builder::new();
    /// b.output("first", b.input("numbers", Type::u32([5])).first_equal(10));
    /// let first = evaluate(&b.finish()?, &[Tensor::u32([5], [7, 3, 7, 99, 99])?])?;
    /// assert_eq!(first, [Tensor::u32([5], [0, 1, 0, 3, 4])?]);
    /// # Ok::<(), bayeslift_ir::Error>(())
    /// ```
    pub fn first_equal(self, rows: usize) -> Expr<'b> {
        self.builder().push(Op::FirstEqual(rows), &[self])
    }
}
