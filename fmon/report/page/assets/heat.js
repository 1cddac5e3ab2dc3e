"use strict";
// The heat map: two select boxes for the factors, radio buttons for what the cells show.
(() => {
  const source = document.getElementById("matrices");
  if (!source) return;
  const { factors, pairs } = JSON.parse(source.textContent);
  const rows = document.getElementById("rows");
  const columns = document.getElementById("columns");
  const measures = [...document.querySelectorAll("input[name=measure]")];
  const readings = [
    document.getElementById("reading").textContent,
    "Known cost of all attempts of a cell's conditions, including failed ones; darker means more expensive.",
    "Median run time of the newest attempts of a cell's conditions; darker means longer.",
    "Conditions that failed with each cause, most frequent first; each letter stands for a cause.",
  ];
  const number = new Intl.NumberFormat("en");

  // A pair is stored once; the other way round it is the same cells, turned.
  const cellsOf = (row, column) => {
    const straight = pairs[`${row},${column}`];
    if (straight) return straight;
    const turned = pairs[`${column},${row}`];
    return turned && turned.map(([r, c, ...shown]) => [c, r, ...shown]);
  };

  const add = (parent, tag, text, scope) => {
    const node = parent.appendChild(document.createElement(tag));
    node.textContent = text;
    if (scope) node.scope = scope;
    return node;
  };

  const fill = (node, [text, note, shade]) => {
    node.className = shade;
    add(node, "b", text);
    if (note) add(node, "span", note);
  };

  const draw = () => {
    const row = factors[rows.value];
    const column = factors[columns.value];
    const measure = measures.findIndex((each) => each.checked);
    const cells = new Map(
      cellsOf(rows.value, columns.value).map(([r, c, ...shown]) => [`${r},${c}`, shown[measure]]),
    );
    const table = document.getElementById("matrix");
    const title = document.getElementById("caption");
    const caption = `${row.name} by ${column.name}: ${measures[measure].nextElementSibling.textContent}`;
    title.textContent = caption;
    table.replaceChildren(title);
    const head = table.createTHead().insertRow();
    const corner = head.insertCell();
    corner.className = "quiet";
    corner.textContent = `${row.name} ↓ ${column.name} →`;
    column.levels.forEach((level) => add(head, "th", level, "col"));
    const body = table.createTBody();
    row.levels.forEach((level, r) => {
      const line = body.insertRow();
      add(line, "th", level, "row");
      column.levels.forEach((_, c) => fill(line.insertCell(), cells.get(`${r},${c}`) || ["-", "", "none"]));
    });
    document.getElementById("reading").textContent = readings[measure];
    document.getElementById("left").textContent = [row, column]
      .filter((side) => side.more)
      .map((side) => `${number.format(side.more)} more levels of ${side.name}; see the JSONL. `)
      .join("");
    document.getElementById("announcement").textContent = `The table now shows ${caption}.`;
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

  const [row, column] = Object.keys(pairs)[0].split(",").map(Number);
  offer(rows, null, row);
  offer(columns, row, column);
  rows.addEventListener("change", () => {
    offer(columns, Number(rows.value), Number(columns.value));
    draw();
  });
  columns.addEventListener("change", draw);
  measures.forEach((each) => each.addEventListener("change", draw));
  document.getElementById("choice").hidden = false;
})();
