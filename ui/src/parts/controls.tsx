/** Small controls: one of several, on or off, a number by a slider, a text to search for. */

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** Buttons side by side, one of which is chosen. */
export function Segments<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([id, text]) => (
        <button key={id} type="button" aria-pressed={id === value} onClick={() => onChange(id)}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function Select<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value as T)}>
        {options.map(([id, text]) => (
          <option key={id} value={id}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface GroupedProps {
  label: string;
  value: string;
  /** What the empty value is called. */
  none: string;
  groups: readonly (readonly [string, readonly (readonly [string, string])[]])[];
  onChange: (value: string) => void;
}

/** A choice among many that belong together in groups; groups of none are left out. */
export function GroupedSelect({ label, value, none, groups, onChange }: GroupedProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">{none}</option>
        {groups
          .filter(([, options]) => options.length > 0)
          .map(([title, options]) => (
            <optgroup key={title} label={title}>
              {options.map(([id, text]) => (
                <option key={id} value={id}>
                  {text}
                </option>
              ))}
            </optgroup>
          ))}
      </select>
    </label>
  );
}

export function Toggle({ label, on, onChange, title }: { label: string; on: boolean; onChange: (on: boolean) => void; title?: string }) {
  return (
    <label class="field toggle" title={title}>
      <input type="checkbox" checked={on} onChange={(event) => onChange(event.currentTarget.checked)} />
      <span>{label}</span>
    </label>
  );
}

interface SliderProps {
  label: string;
  value: number;
  minimum: number;
  maximum: number;
  step: number;
  onChange: (value: number) => void;
  text: string;
  title?: string;
}

export function Slider({ label, value, minimum, maximum, step, onChange, text, title }: SliderProps) {
  return (
    <label class="field slider" title={title}>
      <span>{label}</span>
      <input
        type="range"
        min={minimum}
        max={maximum}
        step={step}
        value={value}
        aria-valuetext={text}
        onInput={(event) => onChange(Number(event.currentTarget.value))}
      />
      <output>{text}</output>
    </label>
  );
}

export function Search({ label, value, onChange }: { label: string; value: string; onChange: (value: string) => void }) {
  return (
    <input
      class="search"
      type="search"
      placeholder={label}
      aria-label={label}
      value={value}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  );
}

/** Tabs whose choice is in the address. */
export function Tabs({ value, options, href }: { value: string; options: readonly (readonly [string, string, number?])[]; href: (id: string) => string }) {
  return (
    <nav class="tabs" aria-label="Parts of this page">
      {options.map(([id, text, amount]) => (
        <a key={id} href={href(id)} aria-current={id === value ? "page" : undefined}>
          {text}
          {amount ? <span class="badge">{amount}</span> : null}
        </a>
      ))}
    </nav>
  );
}
