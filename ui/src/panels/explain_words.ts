/** What the Explain view says of rows, outputs and methods. */

import type { Answered, Method, Summary } from "../api/explained";
import type { Maybe } from "../api/types";
import { number, visible } from "../text";

export const METHODS: Record<Method, { name: string; about: string }> = {
  saliency: {
    name: "Saliency",
    about: "How much the output changes when a value of the input changes a little: the size of its gradient (Simonyan, Vedaldi and Zisserman, 2014). It tells where the model is sensitive, not whether a value speaks for the output or against it.",
  },
  "integrated-gradients": {
    name: "Integrated gradients",
    about: "What each value adds to the output on the way from the average input to this one (Sundararajan, Taly and Yan, 2017). Orange speaks for the output, blue against it. All of them together make up the change of the output.",
  },
  "grad-cam": {
    name: "Grad-CAM",
    about: "Where a convolution finds what speaks for the output: its maps, weighted by their mean gradients (Selvaraju et al., 2017). The map is as coarse as the layer and stretched over the image.",
  },
};

export function className(summary: Summary, place: number): string {
  return visible(summary.classes?.[place] ?? `class ${place}`);
}

export function outputName(summary: Summary, place: number): string {
  return visible(summary.outputs[place] ?? `output ${place}`);
}

/** As `outputName`; the one logit of two classes speaks for the second and against the first. */
export function explainedName(summary: Summary, place: number): string {
  const against = summary.outputs.length === 1 && summary.classes?.length === 2 ? ` rather than ${className(summary, 0)}` : "";
  return outputName(summary, place) + against;
}

function said(summary: Summary, value: Maybe | Maybe[]): string {
  if (value === null) return "NaN";
  return typeof value === "number" ? className(summary, value) : value.map((one) => number(one)).join(", ");
}

export function isWrong(row: Answered): boolean {
  return typeof row.label === "number" && row.label !== row.predicted;
}

/** The model's answer, and the label where that differs. */
export function answerText(summary: Summary, row: Answered): string {
  const answer = said(summary, row.predicted);
  return typeof row.label === "number" && !isWrong(row) ? answer : `${answer} (is ${said(summary, row.label)})`;
}

/** `3,17` as numbers, each once, at most so many. */
export function numbersIn(text: string, most: number): number[] {
  return [...new Set(text.split(",").filter((part) => /^\d{1,9}$/.test(part)).map(Number))].slice(0, most);
}
