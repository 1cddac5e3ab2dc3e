// The list of conditions: search, choose a state, sort by a column.
(() => {
  const table = document.getElementById("rows-of-conditions");
  const body = table.tBodies[0];
  const lines = [...body.rows];
  const words = document.getElementById("words");
  const state = document.getElementById("state");
  const found = lines.map((line) => line.textContent.toLowerCase());

  const match = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    lines.forEach((line, index) => {
      const fits = (!state.value || line.cells[1].className === state.value)
        && wanted.every((word) => found[index].includes(word));
      line.hidden = !fits;
      if (fits) count += 1;
    });
    document.getElementById("matching").textContent = count === lines.length ? "" : `${count} match`;
  };

  // "$1,234.50", "12 min 34 s" and plain numbers sort by what they are worth, all else by its letters.
  const units = { s: 1, min: 60, h: 3600, d: 86400 };
  const worth = (text) => {
    const spans = [...text.matchAll(/([\d,]+) (s|min|h|d)\b/g)];
    if (spans.length) {
      return spans.reduce((sum, [, count, unit]) => sum + Number(count.replaceAll(",", "")) * units[unit], 0);
    }
    const plain = text.replace(/[$,]/g, "");
    return plain !== "" && !Number.isNaN(Number(plain)) ? Number(plain) : null;
  };

  const sort = (head, column) => {
    const sign = head.ariaSort === "ascending" ? -1 : 1;
    [...head.parentNode.cells].forEach((each) => each.removeAttribute("aria-sort"));
    head.ariaSort = sign > 0 ? "ascending" : "descending";
    const keyed = lines.map((line) => {
      const text = line.cells[column].textContent;
      return { line, text, value: column < 3 ? null : worth(text) };
    });
    keyed.sort((one, other) => {
      if (!one.text !== !other.text) return one.text ? -1 : 1;
      if (one.value !== null && other.value !== null) return sign * (one.value - other.value);
      return sign * one.text.localeCompare(other.text, "en", { numeric: true });
    });
    body.append(...keyed.map(({ line }) => line));
  };

  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(head, column));
  });
  [...new Set(lines.map((line) => line.cells[1].className))].sort().forEach((each) => {
    const option = document.createElement("option");
    option.textContent = each;
    state.append(option);
  });
  words.addEventListener("input", match);
  state.addEventListener("change", match);
  document.getElementById("filter").hidden = false;
})();
