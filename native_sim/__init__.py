"""The enterprise SOC simulator, and the contracts that every engine of this project shares.

Importing a table or a contract loads no compiler: heavier modules are imported on first use.
"""

from native_sim.api import Decision, Field, Layout, Policy, StepBatch, VectorEnv

__all__ = ["Decision", "Field", "Layout", "Policy", "StepBatch", "VectorEnv"]
