"""New dances: a diffusion model of movement in three dimensions, its training, its samples and what judges them."""
