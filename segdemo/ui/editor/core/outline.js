// A closed outline that is being drawn: nodes that were set, and how it runs between them.
export class Outline {
  constructor() {
    this.nodes = [];
    this.runs = []; // runs[i] leads to node i + 1: {points between the two, snapped: along edges}
  }

  add(node, points = [], snapped = false) {
    if (this.nodes.length) this.runs.push({ points, snapped });
    this.nodes.push(node);
  }

  back() {
    this.nodes.pop();
    this.runs.pop();
  }

  // Moves a node; `between(from, to)` gives the points of a run along edges.
  move(index, node, between) {
    this.nodes[index] = node;
    for (const i of [index - 1, index]) {
      const run = this.runs[i];
      if (run?.snapped) run.points = between(this.nodes[i], this.nodes[i + 1]);
    }
  }

  // All points in order; the outline closes from the last to the first.
  get points() {
    return this.nodes.flatMap((node, i) => (i ? [...this.runs[i - 1].points, node] : [node]));
  }

  // The node within `reach` of a place, the nearest, or -1.
  nodeAt([x, y], reach) {
    const away = this.nodes.map(([nodeX, nodeY]) => Math.hypot(nodeX - x, nodeY - y));
    const nearest = away.indexOf(Math.min(...away));
    return away[nearest] <= reach ? nearest : -1;
  }

  // Whether it encloses something.
  get closes() {
    return this.points.length > 2;
  }
}
