"""Densities of video: temporal flows, latent variable models, and both (paper 000)."""
