"""Transfer to CC4: carried policies with their controls, and what their adapters are fitted on."""
