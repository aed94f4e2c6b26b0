// Colours for the parts of a label map, so that neighbours differ.
const REACH = [1, 3]; // pixels: what a thin gap parts are neighbours too

// Returns for each id of a box the set of ids beside it; 0 is nobody's neighbour.
export function neighbours(labels, width, [left, top, right, bottom]) {
  const graph = new Map();
  const of = (id) => {
    if (!graph.has(id)) graph.set(id, new Set());
    return graph.get(id);
  };
  let last = 0, lastOther = 0; // the same pair again and again, along a border
  const meet = (id, other) => {
    if (!other || other === id || (id === last && other === lastOther)) return;
    [last, lastOther] = [id, other];
    of(id).add(other);
    of(other).add(id);
  };
  for (let row = top; row < bottom; row++) {
    for (let x = left; x < right; x++) {
      const p = row * width + x, id = labels[p];
      if (!id) continue;
      for (const away of REACH) {
        if (x + away < right) meet(id, labels[p + away]);
        if (row + away < bottom) meet(id, labels[p + away * width]);
      }
    }
  }
  return graph;
}

// Colours greedily, those with most neighbours first: a colour that no neighbour has, the rarest of
// them. `few` colours suffice for most maps; more are taken where an id has too many neighbours.
export function colourApart(ids, graph, few) {
  const colours = new Map(), used = [];
  const degree = (id) => graph.get(id)?.size || 0;
  for (const id of [...ids].sort((one, other) => degree(other) - degree(one) || one - other)) {
    const taken = new Set([...(graph.get(id) || [])].map((other) => colours.get(other)));
    let best = -1;
    for (let colour = 0; colour < few || best < 0; colour++) {
      if (taken.has(colour)) continue;
      if (best < 0 || (used[colour] || 0) < (used[best] || 0)) best = colour;
    }
    colours.set(id, best);
    used[best] = (used[best] || 0) + 1;
  }
  return colours;
}
