"""Print how fast the SOC simulator is, by rules and network size, and how long it takes to start."""

from __future__ import annotations

from native_sim.soc import spec
from native_sim.soc.speed import growth, start_seconds


def main() -> None:
    for rules in spec.RULES:
        print(f"{rules}: first start {start_seconds(rules):.1f} s, next start {start_seconds(rules):.1f} s")
        print("| hosts | environments | steps/s, one thread | state, MB | slower per doubling |\n|---|---|---|---|---|")
        for row, factor in growth(rules):
            print(f"| {row.hosts} | {row.num_envs} | {row.steps_per_s:,.0f} | {row.state_mb:.0f} | x{factor:.2f} |")


if __name__ == "__main__":
    main()
