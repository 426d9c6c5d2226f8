/** A fault in one view shows as one line there; the rest of the page goes on. */

import { Component, type ComponentChildren } from "preact";
import { Failure } from "./states";

export class Boundary extends Component<{ children: ComponentChildren }, { error: Error | null }> {
  override state = { error: null as Error | null };

  override componentDidCatch(error: Error): void {
    this.setState({ error });
  }

  override render() {
    if (this.state.error) return <Failure error={`This view failed: ${this.state.error.message}. Loading the page again may help.`} />;
    return this.props.children;
  }
}
