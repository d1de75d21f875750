"""A table with numbers, categories and gaps: what the latents tell, and the gaps filled in.

Run as ``python examples/penguins.py``. The table ships with palmerpenguins (extra ``demo``).
"""

import importlib.util
import sys
from pathlib import Path

import pandas as pd

import latentspace

found = importlib.util.find_spec("palmerpenguins")
if found is None or not found.submodule_search_locations:
    sys.exit("The penguins ship with palmerpenguins: pip install 'latentspace[demo]'.")
penguins = pd.read_csv(Path(found.submodule_search_locations[0], "data", "penguins.csv"))

# The species is kept out of training and only used to say what the latents are worth.
space = latentspace.fit(penguins, labels=("species",))
print("\n".join(space.figures["verdict"]))

gaps = penguins[penguins["sex"].isna() & penguins["body_mass_g"].notna()]
filled = space.reconstruct(gaps)
shown = gaps[["species", "island", "body_mass_g"]].assign(sex=filled["sex"])
print(f"\n{penguins['sex'].isna().sum()} penguins have no sex on record. Filled in:")
print(shown.head().to_string(index=False))

known = penguins.dropna()
hidden = space.reconstruct(known.assign(sex=None))["sex"]
print(f"\nHad it been hidden for the other {len(known)}: right for {(hidden == known['sex']).mean():.0%}.")
