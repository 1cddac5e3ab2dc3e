
"use strict";
(() => {
  const source = document.getElementById("matrices");
  if (!source) return;
  const { factors, pairs } = JSON.parse(source.textContent);
  const rows = document.getElementById("rows");
  const columns = document.getElementById("columns");
  const steps = 5;
  const number = new Intl.NumberFormat("en");

  // A pair is stored once; the other way round it is the same cells, turned.
  const cellsOf = (row, column) => {
    const straight = pairs[`${row},${column}`];
    if (straight) return straight;
    const turned = pairs[`${column},${row}`];
    return turned && turned.map(([r, c, ...counts]) => [c, r, ...counts]);
  };

  const add = (parent, tag, text, scope) => {
    const node = parent.appendChild(document.createElement(tag));
    node.textContent = text;
    if (scope) node.scope = scope;
    return node;
  };

  const fill = (node, counts) => {
    if (!counts) {
      node.textContent = "-";
      node.className = "none";
      return;
    }
    const [expected, succeeded, failed] = counts;
    node.textContent = `${number.format(succeeded)}/${number.format(expected)}`
      + (failed ? `, ${number.format(failed)} failed` : "");
    const [kind, part] = failed ? ["bad", failed] : ["good", succeeded];
    node.className = kind + Math.ceil(part * steps / expected);
  };

  const draw = () => {
    const row = factors[rows.value];
    const column = factors[columns.value];
    const found = cellsOf(rows.value, columns.value) || [];
    const cells = new Map(found.map(([r, c, ...counts]) => [`${r},${c}`, counts]));
    const table = document.getElementById("matrix");
    table.replaceChildren();
    const head = table.createTHead().insertRow();
    add(head, "th", `${row.name} \\ ${column.name}`);
    column.levels.forEach((level) => add(head, "th", level, "col"));
    const body = table.createTBody();
    row.levels.forEach((level, r) => {
      const line = body.insertRow();
      add(line, "th", level, "row");
      column.levels.forEach((_, c) => fill(line.insertCell(), cells.get(`${r},${c}`)));
    });
    document.getElementById("left").textContent = [row, column]
      .filter((side) => side.more)
      .map((side) => `${number.format(side.more)} more levels of ${side.name}, see the JSONL. `)
      .join("");
  };

  // Only pairs that the page carries can be chosen.
  const offer = (box, other, chosen) => {
    box.replaceChildren();
    factors.forEach((factor, index) => {
      if (other !== null && !cellsOf(index, other)) return;
      const option = add(box, "option", factor.name);
      option.value = index;
      option.selected = index === chosen;
    });
  };

  const [first, second] = Object.keys(pairs)[0].split(",").map(Number);
  offer(rows, null, first);
  offer(columns, first, second);
  rows.addEventListener("change", () => {
    offer(columns, Number(rows.value), Number(columns.value));
    draw();
  });
  columns.addEventListener("change", draw);
  document.getElementById("choice").hidden = false;
})();
