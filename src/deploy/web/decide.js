    /**
     * Decides on rows, each with as many samples as that takes, up to those of the options: see @NAME@.h. Gives the arrays of `predict`, and
     *
     * - `label`, @LABELS@ a row: the most probable class
     * - `samples`, 1 a row: how many were drawn
     * - `certain`, @LABELS@ a row: 1 where the decision is, but for a probability of @DECISION_ERROR@ at most, else 0
     */
    decide(rows, options = {}) {
      const decided = { label: @LABELS@, samples: 1, certain: @LABELS@ };
      return this.#ask(this.#exports.@NAME@_decide, rows, options, { ...WIDTHS, @ABSTAIN_WIDTH@ }, decided);
    }

