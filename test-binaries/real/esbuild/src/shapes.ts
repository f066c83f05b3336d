export type Shape = { kind: "circle"; radius: number } | { kind: "square"; side: number };

export const enum Precision { Low = 1, High = 10 }

export function area(shape: Shape): number {
  switch (shape.kind) {
    case "circle": return Math.PI * shape.radius ** 2;
    case "square": return shape.side ** 2;
  }
}

export function never_used(): Precision { return Precision.High; }
