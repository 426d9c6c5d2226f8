/** A line that says that a file became another while it was shown, so that nobody wonders why numbers moved. */

export function ReplacedNote({ when }: { when: Date | null }) {
  if (!when) return null;
  return (
    <p class="muted" role="status" data-testid="replaced">
      The file changed at {when.toLocaleTimeString("en-GB")}; this is what it holds now.
    </p>
  );
}
