/** One step for all panels of a run, moved by a slider, by playing, or by clicking into a picture. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { RunDetail } from "../api/types";
import { useNumber } from "../router";
import { number } from "../text";

const FRAME_MS = 220;

interface Props {
  run: RunDetail;
  /** The steps to stop at; without them, every step from first to last. */
  steps?: number[];
}

/** While a run goes on, its summary does not tell yet how far it is. */
export function lastStepOf(run: RunDetail): number {
  return Math.max(1, Number(run.summary.steps) || 0, run.last_step ?? 0, ...run.snapshots.map((one) => one.step), ...run.events.map((one) => one.step));
}

/** The place of the stop that is nearest to a step. */
export function nearest(steps: number[], step: number): number {
  let best = 0;
  steps.forEach((one, i) => {
    if (Math.abs(one - step) < Math.abs(steps[best] - step)) best = i;
  });
  return best;
}

export function Scrubber({ run, steps }: Props) {
  const [step, setStep] = useNumber("step");
  const [playing, setPlaying] = useState(false);
  const last = lastStepOf(run);
  const stops = steps ?? Array.from({ length: Math.min(last, 200) + 1 }, (_, i) => Math.round((i / Math.min(last, 200)) * last));
  const at = step === null ? stops.length - 1 : nearest(stops, step);
  // Between two stops of the slider a step is still the one that other panels show.
  const stands = steps || step === null ? stops[at] : step;
  const place = useRef(at);
  place.current = at;
  useEffect(() => {
    if (!playing) return;
    if (place.current >= stops.length - 1) setStep(stops[0]);
    const timer = setInterval(() => {
      if (place.current >= stops.length - 1) setPlaying(false);
      else setStep(stops[place.current + 1]);
    }, FRAME_MS);
    return () => clearInterval(timer);
  }, [playing, stops.length]);
  if (stops.length < 2) return null;
  return (
    <div class="scrubber" role="group" aria-label="Step of all panels">
      <button type="button" aria-label={playing ? "Pause" : "Play"} title={playing ? "Pause" : "Play the training from its start"} onClick={() => setPlaying(!playing)}>
        {playing ? "❚❚" : "▶"}
      </button>
      <label class="field slider wide">
        <span>Step</span>
        <input
          type="range"
          min={0}
          max={stops.length - 1}
          value={at}
          aria-valuetext={`step ${stands}`}
          onInput={(event) => {
            setPlaying(false);
            setStep(stops[Number(event.currentTarget.value)]);
          }}
        />
        <output>{step === null ? `${number(stops[at])} (last)` : number(stands)}</output>
      </label>
      {step !== null && (
        <button type="button" class="quiet" onClick={() => setStep(null)} title="Follow the newest step again">
          Last
        </button>
      )}
    </div>
  );
}
